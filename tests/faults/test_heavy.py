"""Pools that are all of one thing, and hundreds of damaged files in one run."""

import json
import random
import resource
from collections import Counter

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipeline.command.verify import findings
from pipeline.curate import curate
from pipeline.ingest.plan import plan
from pipeline.ingest.read import read_split
from pipeline.recipe import Input, Recipe
from tests.faults.mutated import TABLES, WHOLE, damaged

pytestmark = pytest.mark.slow
MILLION = 1_000_000


def of(pool, tmp_path, **more):
    (tmp_path / "en.txt").write_text("cat\nphoto\n")
    given = {"name": "heavy", "input": {"paths": [str(pool)]}, "language": {"identify": "none"},
             "entries": {"en": str(tmp_path / "en.txt")}, "balance": {"t": 1000}}  # fmt: skip
    return Recipe.model_validate(given | more)


def curated(spark, recipe, tmp_path):
    summary = curate(recipe, str(tmp_path / "out"))
    assert not list(findings(str(tmp_path / "out")))
    return {line["stage"]: line for line in summary["stages"]}


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_a_text_of_200_mb_is_one_dropped_row(tmp_path, ending):
    """And takes no more than some copies of it."""
    file, text = tmp_path / f"a.{ending}", "a cat " * (200_000_000 // 6)
    rows = {"url": [f"http://x.test/{n}" for n in range(3)], "text": ["a cat", text, "a dog"]}
    if ending == "parquet":
        pq.write_table(pa.table(rows), file)
    else:
        with file.open("w") as out:
            if ending != "jsonl":
                out.write("url,text\n".replace(",", "\t" if ending == "tsv" else ","))
            for url, one in zip(*rows.values(), strict=True):
                out.write(json.dumps({"url": url, "text": one}) if ending == "jsonl" else
                          f"{url}{',' if ending == 'csv' else chr(9)}{one}")  # fmt: skip
                out.write("\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    options = Input(paths=[str(file)])
    found, counts = plan(options, False), Counter()
    for split in found.splits:
        for batch in read_split(split, found, options):
            for row in batch.select(["dropped", "copies"]).to_pylist():
                counts[row["dropped"]] += row["copies"]
    assert counts == {None: 2, "text_too_long": 1, "rows_read": 3}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 << 20  # kB


def test_an_image_of_a_million_texts_and_a_text_of_a_tenth_of_all_pairs(spark, tmp_path):
    """One image has a million texts; one text has a tenth of all pairs, each with an image of its own."""
    rng = random.Random(0)
    words = [f"w{n}" for n in range(5000)]
    texts = [f"a cat {' '.join(rng.choices(words, k=4))} {n}" for n in range(MILLION)]
    same = MILLION // 9
    urls = ["http://x.test/one"] * MILLION + [f"http://x.test/{n}" for n in range(same)]
    pq.write_table(pa.table({"url": urls, "text": texts + ["a photo of the cat"] * same}), tmp_path / "pool.parquet")
    recipe = of(tmp_path / "pool.parquet", tmp_path, balance={"t": 1000, "texts_per_image": "one"})
    found = curated(spark, recipe, tmp_path)
    assert found["ingest"]["in"] == found["ingest"]["out"] == found["match"]["out"] == MILLION + same
    ids = ds.dataset(tmp_path / "out/curated", format="parquet").to_table(columns=["image_id"])["image_id"]
    assert 0 < len(ids.unique()) == len(ids)


def test_hundreds_of_damaged_files_in_one_run(spark, tmp_path):
    """Rows in are rows out and reasons; what cannot be read is named."""
    (tmp_path / "pool").mkdir()
    written = 0
    for number in range(600):
        kind, rng = TABLES[number % len(TABLES)], random.Random(number)
        content, header = damaged(kind, rng), WHOLE[kind][:20]
        if kind in (".csv", ".tsv") and content[:20] != header:
            continue  # Its columns have other names, which is for the user to mend.
        (tmp_path / "pool" / f"{number:04d}{kind}").write_bytes(content)
        written += 1
    for kind in TABLES:
        (tmp_path / "pool" / f"whole{kind}").write_bytes(WHOLE[kind])
    recipe = of(tmp_path / "pool", tmp_path, dedupe={"scope": "none"})
    found = curated(spark, recipe, tmp_path)
    line = found["ingest"]
    assert line["in"] == line["out"] + sum(line["dropped"].values())
    assert line["files"] == written + len(TABLES)
    assert written > 400
    assert line["damaged_files"]
