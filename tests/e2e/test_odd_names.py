"""Whole runs in which every place has an odd name: the same bytes as with plain ones, and nothing beside them."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import yaml
from PIL import Image

from pipeline.curate import curate
from pipeline.explore import explore
from pipeline.language.identify import LID_176, model_file
from pipeline.recipe import load_recipe
from pipeline.shards.tar import sample_key
from tests.odd_names import ODD_NAMES
from tests.pool import PREFIX, rows, write_entries, write_images

from .conftest import digests

PLACES = ("pool", "file", "entries", "images", "columns", "evaluation", "blocklist", "model", "domain", "shards")
TABLES = ("curated", "filtered", "final", "shards")


def write_work(base: Path, names: dict[str, str]) -> dict:
    """All that a run reads, each place below ``base`` in a folder of its own with an odd name in it; the recipe."""
    place = {key: base / f"{key} of" / name for key, name in names.items()}
    found = rows(240)
    urls, texts, languages = (list(column) for column in zip(*found, strict=True))
    for key, folder in place.items():
        if key not in ("entries", "images", "shards"):
            folder.mkdir(parents=True)
    with (place["pool"] / f"f{names['file']}.parquet").open("wb") as file:
        pq.write_table(pa.table({"url": urls, "text": texts, "language": languages}), file)
    write_entries(place["entries"])
    write_images(place["images"], 90)
    keys = [
        sample_key(xxhash.xxh64(f"{url}\0{text}".encode(), seed=42).intdigest())
        for url, text in dict.fromkeys(zip(urls, texts, strict=True))
    ]
    with (place["columns"] / f"{names['columns']}.parquet").open("wb") as file:
        pq.write_table(pa.table({"key": keys, "score": [int(key, 16) % 10 for key in keys]}), file)
    Image.effect_noise((64, 64), 90).save(place["evaluation"] / f"{names['evaluation']}.png", "PNG")
    (place["evaluation"] / f"{names['evaluation']}.lst").write_text("stock photo of a red house near the old river\n")
    (place["blocklist"] / f"{names['blocklist']}.lst").write_text("tree\n")
    shutil.copy(model_file(LID_176), place["model"] / names["model"])
    (place["domain"] / f"{names['domain']}.lst").write_text("dog\n")
    return {
        "name": "odd",
        "input": {"paths": [str(place["pool"])], "format": "parquet"},
        "language": {"model": str(place["model"] / names["model"])},
        "entries": str(place["entries"]),
        "dedupe": {"threshold": 0.7, "shingle": 3, "min_words": 4},
        "balance": {"t": 15, "domain": {"entries": str(place["domain"] / f"{names['domain']}.lst"), "t": 12}},
        "images": {"root": str(place["images"]), "prefix": PREFIX},
        "filter": {
            "min_words": 1,
            "blocklist": {"other": str(place["blocklist"] / f"{names['blocklist']}.lst")},
            "evaluation": {"known": {"images": [str(place["evaluation"])],
                                     "texts": [str(place["evaluation"] / f"{names['evaluation']}.lst")]}},
            "columns": [str(place["columns"])],
            "where": "score < 9",
        },
        "rebalance": {"t": 9},
        "shards": {"samples": 20, "folder": str(place["shards"])},
    }  # fmt: skip


def write_recipe(recipe: dict, file: Path) -> Path:
    file.write_text(yaml.safe_dump(recipe, allow_unicode=True))
    return file


def odd(turn: int) -> dict[str, str]:
    """The name of every place in a turn; over the turns each name is somewhere."""
    return {key: ODD_NAMES[(turn * len(PLACES) + i) % len(ODD_NAMES)] for i, key in enumerate(PLACES)}


def files(base: Path) -> set[Path]:
    return set(base.rglob("*"))


def outcome(output: Path, shards: Path) -> dict[str, str]:
    return digests(output, *TABLES) | digests(shards, ".")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The files of a run with plain names."""
    base = tmp_path_factory.mktemp("plain")
    recipe = write_work(base, {key: key for key in PLACES})
    summary = curate(load_recipe(str(write_recipe(recipe, base / "recipe.yaml"))), str(base / "out"))
    dropped = next(line["dropped"] for line in summary["stages"] if line["stage"] == "filter")
    assert {"blocked_text", "evaluation_text", "filtered"} <= set(dropped)
    found = outcome(base / "out", base / "shards of" / "shards")
    assert len(found) > 15
    return found


def run_and_compare(tmp_path: Path, turn: int, url: str, expected: dict[str, str]) -> None:
    """A run of one turn, its output below a chain of odd names, and the figures of what-if in another."""
    names = odd(turn)
    recipe = write_work(tmp_path, names)
    (tmp_path / "output of").mkdir()
    chain = "/".join(ODD_NAMES[turn * 11 : (turn + 1) * 11])
    output, what_if = tmp_path / "output of" / chain, tmp_path / "what-if of" / names["pool"]
    if url:  # the form that a cluster would get
        text = yaml.safe_dump(recipe, allow_unicode=True, width=10**6)
        recipe = yaml.safe_load(text.replace(str(tmp_path), f"{url}{tmp_path}"))
    found = load_recipe(str(write_recipe(recipe, tmp_path / "recipe.yaml")))
    before = files(tmp_path)
    summary = curate(found, f"{url}{output}")
    assert outcome(output, tmp_path / "shards of" / names["shards"]) == expected
    assert not any(stage["skipped"] for stage in summary["stages"])
    again = curate(found, f"{url}{output}")
    assert all(stage["skipped"] for stage in again["stages"])
    explore(found, f"{url}{what_if}", f"{url}{output}", None, 0.0)
    assert (what_if / "what-if.json").is_file()
    shards = tmp_path / "shards of" / names["shards"]
    made = files(tmp_path) - before - {shards, shards.parent, what_if.parent}
    assert all(path in (*output.parents, output) or path.is_relative_to(output) or path.is_relative_to(what_if)
               or path.is_relative_to(shards) for path in made)  # fmt: skip
    assert not [path for path in output.iterdir() if path.name == ".staging"]


@pytest.mark.parametrize(
    ("turn", "url"), [pytest.param(0, "", marks=pytest.mark.slow), pytest.param(1, "file://", marks=pytest.mark.slow)]
)
def test_all_places_of_odd_names(tmp_path, plain, turn, url):
    run_and_compare(tmp_path, turn, url, plain)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turn", "url"), [(2, ""), (3, ""), (4, ""), (0, "file://"), (2, "file:"), (3, "file://localhost")]
)
def test_more_places_of_odd_names(tmp_path, plain, turn, url):
    run_and_compare(tmp_path, turn, url, plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_output_of_an_odd_name(tmp_path, work, finished, name):
    """The table of the issue, one by one."""
    (tmp_path / "in").mkdir()
    curate(load_recipe(str(work / "recipe.yaml")), str(tmp_path / "in" / name))
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name]
    assert digests(tmp_path / "in" / name, "curated", "shards") == digests(finished, "curated", "shards")
