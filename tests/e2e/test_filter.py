"""Filtering and balancing again, on real images in files."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.errors import UsageError
from tests.filter.test_hashes import file, scene

from .conftest import check, run, stage, table
from .test_tars import samples

RECIPE = """
name: filter
input: {paths: [%(pool)s], pass_through: [punsafe, faces]}
language: {identify: none}
entries: {en: %(entries)s}
dedupe: {scope: none, threshold: 0.7, min_words: 4}
balance: {mode: none, t: 10}
images: {root: %(images)s, prefix: "p://"}
"""


def write_work(folder: Path, rows: list[tuple], images: dict[str, bytes]) -> Path:
    """``rows``: name of the image, text, punsafe, boxes."""
    (folder / "images").mkdir(parents=True)
    for name, content in images.items():
        (folder / "images" / name).write_bytes(content)
    names, texts, unsafe, faces = (list(column) for column in zip(*rows, strict=True))
    boxes = pa.array(faces, pa.list_(pa.list_(pa.float64())))
    columns = {"url": [f"p://{name}" for name in names], "text": texts, "punsafe": unsafe, "faces": boxes}
    pq.write_table(pa.table(columns), folder / "pool.parquet")
    (folder / "en.txt").write_text("picture\n")
    places = {"pool": folder / "pool.parquet", "entries": folder / "en.txt", "images": folder / "images"}
    (folder / "recipe.yaml").write_text(RECIPE % places)
    return folder / "recipe.yaml"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Twenty scenes of their own, and one of each kind that a rule is about."""
    big = (300, 240)
    images = {f"{i}.png": file(scene(i, big)) for i in range(20)}
    images |= {
        "bytes.png": images["0.png"],
        "pixels.webp": file(scene(1, big), "WEBP", lossless=True),
        "near.jpg": file(scene(2, big).resize((260, 208)), "JPEG", quality=60),
        "small.png": file(scene(31, (150, 199))),
        "long.png": file(scene(32, (630, 210))),
        "broken.jpg": file(scene(33, big), "JPEG")[:-300],
        "moving.webp": file(scene(34, big), "WEBP", save_all=True, append_images=[scene(35, big)]),
        "known.jpg": file(scene(36, big), "JPEG", quality=70),
        "unsafe.png": file(scene(37, big)),
        "faces.png": file(scene(38, big)),
    }
    rows = [
        (name, f"picture of the thing named {name}", 0.1, None)
        for name in images
        if name not in ("unsafe.png", "faces.png")
    ]
    rows += [
        ("unsafe.png", "picture of a lake", 0.9, None),
        ("faces.png", "picture of two people", 0.2, [[0.1, 0.1, 0.4, 0.5]]),
        ("none.png", "picture that is not there", 0.1, None),
        ("3.png", "picture", 0.1, None),
        ("4.png", "picture of a DAMNED thing", 0.1, None),
        ("5.png", "A picture that   is in the evaluation", 0.1, None),
        ("6.png", "picture without a score", None, None),
        *((f"{i}.png", "picture of stock", 0.1, None) for i in range(7, 11)),
        *(("11.png", f"picture again number {i}", 0.1, None) for i in range(5)),
    ]
    folder = tmp_path_factory.mktemp("filter")
    made = write_work(folder, rows, images)
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "a.png").write_bytes(file(scene(36, big)))
    (folder / "evaluation" / "hashes.txt").write_text("0123456789abcdef\n\n" + "0" * 64 + "\n")
    (folder / "evaluation.txt").write_text("a picture that is in the Evaluation\nshort one\n")
    (folder / "blocked.txt").write_text("Damned\n")
    return made


def test_every_rule_drops_what_it_is_for(recipe, tmp_path):
    folder = recipe.parent
    filters = {
        "min_side": "200", "max_aspect": "3", "texts_per_image": "5", "images_per_text": "3", "min_words": "2",
        "exact_duplicates": "true", "near_duplicates": "4", "where": "punsafe < 0.5",
        "blocklist": f"{{other: {folder / 'blocked.txt'}}}",
        "evaluation": f"{{ours: {{images: [{folder / 'evaluation'}], texts: [{folder / 'evaluation.txt'}]}}}}",
    }  # fmt: skip
    settings = [f"filter.{key}={value}" for key, value in filters.items()]
    summary = run(recipe, tmp_path / "out", *settings, "shards.blur=faces")
    line = stage(summary, "filter")
    assert line["dropped"] == {
        "not_scored": 1,
        "filtered": 1,
        "few_words": 1,
        "many_images": 4,
        "many_texts": 6,
        "blocked_text": 1,
        "evaluation_text": 1,
        "missing_image": 1,
        "unreadable_image": 1,
        "animated": 1,
        "too_small": 1,
        "aspect_too_large": 1,
        "evaluation_image": 1,
        "same_bytes": 1,
        "same_pixels": 1,
        "near_image": 1,
    }
    assert line["evaluation_images"] == {"ours": 1}
    assert line["evaluation_texts"] == {"ours": 1}
    assert line["evaluation_texts_too_short"] == {"ours": 1}
    assert stage(summary, "shards")["out"] == line["out"] == table(tmp_path / "out", "filtered").num_rows
    looked = {row["image_id"]: row for row in table(tmp_path / "out", "image_hashes").to_pylist()}
    assert {len(row["phash"]) for row in looked.values() if row["phash"]} == {16}
    found = samples(tmp_path / "out" / "shards")
    faces = next(name.split(".")[0] for name, content in found.items() if content == b"picture of two people")
    before, after = (
        np.asarray(image, int) for image in (scene(38, (300, 240)), Image.open(io.BytesIO(found[f"{faces}.png"])))
    )
    inside = (slice(24, 120), slice(30, 120))
    assert (before[inside] != after[inside]).mean() > 0.9
    before[inside] = after[inside] = 0
    assert (before == after).all()
    again = run(recipe, tmp_path / "out", *settings, "shards.blur=faces")
    assert all(line["skipped"] for line in again["stages"])


@pytest.mark.slow
def test_some_copies_may_stay(recipe, tmp_path):
    summary = run(recipe, tmp_path / "out", "filter.preset=datacomp-basic", "filter.near_duplicates=4", "filter.keep_per_cluster=2", stages=["ingest", "match", "dedupe", "balance", "filter"])  # fmt: skip
    dropped = stage(summary, "filter")["dropped"]
    assert dropped == {"few_words": 1, "missing_image": 1, "unreadable_image": 1, "animated": 1, "too_small": 1, "aspect_too_large": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("filter.where=punsafe <", "filter.where: 'punsafe <'"),
        ("filter.where=punsfe < 1", "filter.where: 'punsfe < 1'"),
        ("filter.columns=[/none]", "columns are for the condition where"),
        ("filter.blocklist={en: /none.txt}", "filter.blocklist.en: /none.txt: no such file"),
        ("filter.evaluation={a: {images: [/none]}}", "filter.evaluation.a.images: /none: nothing there"),
        ("filter.evaluation={a: {imges: [/none]}}", "evaluation.a.imges: no such key; allowed: images, texts"),
        ("filter.evaluation={a: {texts: [/none]}}", "filter.evaluation.a.texts: /none: no such file"),
        ("filter.near_duplicates=17", "filter.near_duplicates: found 17"),
        ("rebalance.t=3", "rebalance: is for balance.mode sample, found none"),
        ("shards.blur=nose", "shards.blur: no column nose"),
        ("input.pass_through=[tar]", "input.pass_through: 'tar' is a column of ours"),
    ],
)
def test_wrong_settings(recipe, tmp_path_factory, setting, message):
    output = tmp_path_factory.getbasetemp() / "wrong-settings"
    with pytest.raises(UsageError, match=message):
        run(recipe, output, setting)


def test_a_bad_hash_names_its_line(recipe, tmp_path):
    (tmp_path / "hashes.txt").write_text("0123456789abcdef\n12 34\n")
    with pytest.raises(UsageError, match="hashes.txt: line 2: found '12 34'; allowed is a hash a line"):
        run(recipe, tmp_path / "out", f"filter.evaluation={{a: {{images: [{tmp_path}]}}}}")


HEAD, TAIL = 6000, 300


@pytest.fixture(scope="module")
def two_words(tmp_path_factory):
    """A head and a tail entry; of images with even numbers only the file is there, so half of all survive."""
    folder = tmp_path_factory.mktemp("again")
    content = file(scene(1))
    rows = [(f"{i}.png", f"picture of {'head' if i < HEAD else 'tail'} {i}", 0.0, None) for i in range(HEAD + TAIL)]
    recipe = write_work(folder, rows, {f"{i}.png": content for i in range(0, HEAD + TAIL, 2)})
    (folder / "en.txt").write_text("head\ntail\n")
    return recipe


def words(rows) -> tuple[int, int]:
    texts = rows["text"].to_pylist()
    return sum("head" in text for text in texts), sum("tail" in text for text in texts)


@pytest.mark.slow
def test_balancing_again_is_balancing_the_survivors(shared, two_words, tmp_path):
    """First t = 700 with a survival of a half, then t = 300: as if the survivors of the whole pool were balanced."""
    settings = ["balance.mode=sample", "balance.t=700", "rebalance.t=300", "name=again"]
    summary = run(two_words, tmp_path / "again", *settings)
    line = stage(summary, "rebalance")
    assert line["pairs_above_first"] == 0
    assert line["survivors_of_the_pool"]["en"] == pytest.approx((HEAD + TAIL) / 2, rel=0.1)
    final = table(tmp_path / "again", "final")
    head, tail = words(final)
    counted = {row["entry"]: row["count"] for row in table(tmp_path / "again", "final_entry_counts").to_pylist()}
    assert counted["tail"] == TAIL / 2  # all of the tail was kept at first, so nothing is estimated
    assert counted["head"] == pytest.approx(HEAD / 2, rel=4 / np.sqrt(350))
    assert tail == TAIL / 2
    assert head == pytest.approx(300, abs=4 * np.sqrt(300))
    # The same draws against the survivors of the whole pool, which a run without first balancing gives.
    whole = run(
        two_words, tmp_path / "whole", "balance.mode=sample", "balance.t=1000000", "rebalance.t=300", "name=whole"
    )
    exact, _ = words(table(tmp_path / "whole", "final"))
    assert stage(whole, "rebalance")["survivors_of_the_pool"]["en"] == (HEAD + TAIL) / 2
    assert head == pytest.approx(exact, rel=4 / np.sqrt(350))
    ids = set(final["pair_id"].to_pylist())
    assert ids <= set(table(tmp_path / "again", "filtered")["pair_id"].to_pylist())
    assert stage(summary, "shards")["out"] == len(ids)
    check(shared, tmp_path / "again")


@pytest.mark.slow
def test_without_weights_there_would_be_too_many_and_a_low_first_t_is_told(two_words, tmp_path, capfd):
    summary = run(two_words, tmp_path / "low", "balance.mode=sample", "balance.t=350", "rebalance.t=300")
    line = stage(summary, "rebalance")
    assert line["pairs_above_first"] == words(table(tmp_path / "low", "final"))[0]
    assert "the first t must be at least" in capfd.readouterr().out
    sized = run(two_words, tmp_path / "size", "balance.mode=sample", "balance.t=1000", "rebalance.size=400")
    assert stage(sized, "rebalance")["out"] == pytest.approx(400, abs=60)


@pytest.mark.slow
def test_one_text_an_image(tmp_path):
    """Two texts an image: a chosen one stands for both, so that counts are those of all texts."""
    content = file(scene(1))
    rows = [(f"{i // 2}.png", f"picture of head {i}", 0.0, None) for i in range(2000)]
    recipe = write_work(tmp_path / "work", rows, {f"{i}.png": content for i in range(1000)})
    summary = run(
        recipe,
        tmp_path / "out",
        "balance.mode=sample",
        "balance.texts_per_image=one",
        "balance.t=800",
        "rebalance.t=500",
    )
    assert stage(summary, "rebalance")["survivors_of_the_pool"]["en"] == pytest.approx(2000, rel=0.2)
    assert stage(summary, "rebalance")["out"] == pytest.approx(250, abs=60)
