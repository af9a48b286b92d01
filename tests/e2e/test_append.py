"""Files that are added to a finished output give, byte for byte, what one run over all of them gives."""

import json
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from benchmarks.compare import read_texts
from pipeline import storage
from pipeline.append import append
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from tests.e2e.conftest import check, digests, run
from tests.extract.files import image, metadata, packed
from tests.pool import rows

GOLDEN = json.loads((Path(__file__).resolve().parent / "golden.json").read_text())["configurations"]
CONFIGURATIONS = {name: found["overrides"] for name, found in GOLDEN.items() if name != "shuffled"} | {
    "fasttext": ["language.identify=fasttext", "language.threshold=0.3"],
    "match first": ["language.identify=fasttext", "language.match_first=true", "entries={en: %(entries)s/en.txt}"],
    "domain": ["balance.domain={entries: %(entries)s/zh.txt, t: 3}"],
    "passed": ["input.pass_through=[number]"],
}  # fmt: skip
WHOLE = "all of its input is looked at"


def write_rows(file: Path, found: list[tuple[str, str, str]]) -> str:
    """A file of rows, in the format that its name says."""
    names = ("url", "text", "language")
    if file.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True)) | {"number": str(at)}) for at, row in enumerate(found)]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(file)
    columns = [list(column) for column in zip(*found, strict=True)]
    table = pa.table({**dict(zip(names, columns, strict=True)), "number": list(range(len(found)))})
    if file.suffix == ".csv":
        pacsv.write_csv(table, file)
    else:
        pq.write_table(table, file)
    return str(file)


def three(folder: Path, again: str | None = None, formats: tuple[str, ...] = ("parquet",) * 3) -> list[str]:
    """The tests' pool in three files, of which the later ones repeat some of the first, some in a language ``again``."""
    found = rows(1500)
    folder.mkdir()
    parts = found[:900], found[880:1300], found[1300:] + found[:50]
    parts[1].extend((url, text, again or language) for url, text, language in found[100:130])
    names = [f"{name}.{form}" for name, form in zip("abc", formats, strict=True)]
    return [write_rows(folder / name, part) for name, part in zip(names, parts, strict=True)]


def told(summary) -> list[dict]:
    """The accounts of a run."""
    return [{key: line[key] for key in ("stage", "in", "out", "dropped")} for line in summary["stages"]]


def check_same(output: Path, whole: Path) -> None:
    """Tables from ``curated`` on have the same bytes, those before the same rows, maybe in other buckets; the recipe is
    one."""
    before = ("pairs", "matched", "clusters")
    tables = {folder.name for folder in whole.iterdir() if folder.is_dir() and folder.name[0] not in "._"}
    tables -= {*before, "extracted", "crawl_files"}
    assert {"curated", "entry_counts", "thresholds"} <= tables
    hashed = tables & {"image_hashes"}  # whose files have names of Spark's
    assert digests(output, *tables - hashed) == digests(whole, *tables - hashed)
    assert sorted(digests(output, *hashed).values()) == sorted(digests(whole, *hashed).values())
    for name in before:
        got, want = (Files.of(str(folder / name)).table(0, 1) for folder in (output, whole))
        assert got.equals(want), name
    assert (output / "recipe.yaml").read_text() == (whole / "recipe.yaml").read_text()


def check_added(recipe: Path, folder: Path, parts: list[str], overrides: list[str], capsys, steps=None) -> dict:
    """Adds the later parts to the first, in steps; all must be as of one run. Returns the last summary."""
    output, whole = folder / "output", folder / "whole"
    want = run(recipe, whole, *overrides, inputs=parts)
    run(recipe, output, *overrides, inputs=parts[:1])
    for step in steps or [[part] for part in parts[1:]]:
        got = append(str(output), step)
    assert WHOLE not in capsys.readouterr().out
    assert told(got) == told(want)
    check_same(output, whole)
    again = run(recipe, output, *overrides, inputs=parts)
    assert all(line["skipped"] for line in again["stages"])
    return got


def test_files_of_several_formats(work, tmp_path, capsys):
    parts = three(tmp_path / "parts", formats=("parquet", "csv", "jsonl"))
    before = curated_ids(work, tmp_path / "first", parts[:1])
    got = check_added(work / "recipe.yaml", tmp_path, parts, [], capsys, steps=[parts[1:]])
    after = set(pq.read_table(tmp_path / "whole" / "curated")["pair_id"].to_pylist())
    change = {"before": len(before), "after": len(after), "entered": len(after - before), "left": len(before - after)}
    assert got["change"] == {"table": "curated", **change}
    assert change["entered"] > 0
    assert change["left"] > 0
    with pytest.raises(UsageError, match="b.csv: was added before$"):
        append(str(tmp_path / "output"), parts[1:2])
    copy = tmp_path / "copy.csv"
    copy.write_bytes(Path(parts[1]).read_bytes())
    with pytest.raises(UsageError, match=r"copy.csv: was added before, as .*/b.csv$"):
        append(str(tmp_path / "output"), [str(copy)])


def curated_ids(work, output: Path, inputs: list[str]) -> set[int]:
    run(work / "recipe.yaml", output, inputs=inputs)
    return set(pq.read_table(output / "curated")["pair_id"].to_pylist())


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_added_files_give_what_one_run_gives(work, tmp_path, capsys, name):
    overrides = [setting % {"entries": work / "entries"} for setting in CONFIGURATIONS[name]]
    check_added(work / "recipe.yaml", tmp_path, three(tmp_path / "parts"), overrides, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["aa", "de", "fr", "zh"])
def test_a_repeat_in_another_language_takes_the_place(work, tmp_path, capsys, language):
    """One without a list, so that texts go, where it is the smaller row."""
    check_added(work / "recipe.yaml", tmp_path, three(tmp_path / "parts", again=language), [], capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_any_split_in_any_order(work, tmp_path, capsys, seed):
    """With more rows than a small pool has, so that there are more buckets at the end than before."""
    rng = random.Random(seed)
    found = rows(40_000 if seed == 0 else 2000, seed)
    found += [(url, text, rng.choice(["en", "de", "zh", "fr"])) for url, text, _ in rng.sample(found, 200)]
    rng.shuffle(found)
    cuts = sorted(rng.sample(range(1, len(found)), 3))
    parts = [found[start:end] for start, end in zip([0, *cuts], [*cuts, len(found)], strict=True)]
    forms = [rng.choice(("parquet", "csv", "jsonl")) for _ in parts]
    files = [
        write_rows(tmp_path / f"{at}.{form}", part) for at, (form, part) in enumerate(zip(forms, parts, strict=True))
    ]
    scope = rng.choice(["text", "image"])
    check_added(work / "recipe.yaml", tmp_path, files, [f"dedupe.scope={scope}", "dedupe.threshold=0.5"], capsys)


@pytest.mark.slow
def test_a_crawl(tmp_path, capsys):
    (tmp_path / "crawl").mkdir()
    for name in "abc":
        links = [
            image(f"/{name}/{i}.jpg", f"a photo of a {'red' if i % 2 else 'blue'} cat, number {i}") for i in range(40)
        ]
        links += [image(f"https://other.test/{i}.jpg", f"a dog near the river, number {i}") for i in range(10)]
        (tmp_path / "crawl" / f"{name}.wat.gz").write_bytes(packed(metadata(links)))
    (tmp_path / "en.txt").write_text("cat\ndog\nphoto\nriver\n")
    (tmp_path / "recipe.yaml").write_text(
        f"name: crawl\ninput: {{format: wat}}\nlanguage: {{identify: none}}\nentries: {{en: {tmp_path}/en.txt}}\n"
        "balance: {t: 9}\n"
    )
    parts = [str(tmp_path / "crawl" / f"{name}.wat.gz") for name in "abc"]

    check_added(tmp_path / "recipe.yaml", tmp_path, parts, [], capsys)
    with pytest.raises(UsageError, match="b.wat.gz: was added before"):
        append(str(tmp_path / "output"), [str(tmp_path / "crawl" / "b.wat.gz")])


@pytest.mark.slow
def test_a_column_whose_type_would_change_is_refused(work, tmp_path):
    parts = three(tmp_path / "parts", formats=("parquet", "jsonl", "parquet"))
    run(work / "recipe.yaml", tmp_path / "output", "input.pass_through=[number]", inputs=parts[:1])
    there = digests(tmp_path / "output", "pairs", "curated", "shards")
    with pytest.raises(UsageError, match="'number' is int64 in the set, and would be string"):
        append(str(tmp_path / "output"), parts[1:2])
    assert digests(tmp_path / "output", "pairs", "curated", "shards") == there


@pytest.mark.slow
def test_captions_in_four_languages(shared, tmp_path, capsys):
    """Real texts, held against the independent code of the shared material."""
    (tmp_path / "entries").mkdir()
    pool, parts = [], []
    for language in ("en", "de", "fr", "cs"):
        texts = read_texts(shared / "data" / "captions" / f"multi30k-{language}.txt.zst")[:6000]
        words = sorted({word for text in texts[:2000] for word in text.split()})
        (tmp_path / "entries" / f"{language}.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        pool += [(f"https://pool.test/{at // 2}.jpg", text, language) for at, text in enumerate(texts)]
    random.Random(1).shuffle(pool)
    for name, start, end in (("a", 0, 18_000), ("b", 17_500, 21_000), ("c", 21_000, None)):
        parts.append(write_rows(tmp_path / f"{name}.parquet", pool[start:end]))
    (tmp_path / "recipe.yaml").write_text(
        "name: captions\nlanguage: {identify: column}\n"
        f"entries: {tmp_path}/entries\nmatch: {{form: metaclip2}}\nbalance: {{t: 30}}\ndedupe: {{threshold: 0.6}}\n"
    )
    check_added(tmp_path / "recipe.yaml", tmp_path, parts, ["input.columns={language: language}"], capsys)
    check(shared, tmp_path / "output")


@pytest.mark.slow
@pytest.mark.parametrize("names", ["ab", "ba"])
def test_files_whose_urls_have_keys(work, bucket, tmp_path, capsys, names):
    """The set keeps URLs without them; with keys, which may be others, the recipe finds it up to date."""
    first, second = (rows(300)[:200], rows(300)[150:])
    for name, part in zip(names, (first, second), strict=True):
        file = Path(write_rows(tmp_path / f"{name}.parquet", part))
        storage.write_bytes(f"{bucket}/{name}/{name}.parquet", file.read_bytes())
    options = f"?endpoint_override={os.environ['AWS_ENDPOINT_URL']}&region=us-east-1"
    one, two = ([f"s3://{user}:secret@bucket/{name}{options}" for name in names] for user in ("SOME", "OTHER"))
    output = tmp_path / "output"
    run(work / "recipe.yaml", output, inputs=one[:1])
    append(str(output), one[1:])
    assert WHOLE not in capsys.readouterr().out
    assert "SOME" not in (output / "recipe.yaml").read_text()
    for inputs in (one, two):
        assert all(line["skipped"] for line in run(work / "recipe.yaml", output, inputs=inputs)["stages"])
