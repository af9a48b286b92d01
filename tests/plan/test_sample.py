"""Samples of inputs of all formats, read whole and in pieces: how many rows there are, and that they are the input's."""

import csv
import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.plan import plan
from pipeline.plan import sample
from pipeline.plan.sample import draw_sample
from pipeline.recipe import Input

ROWS = 20_000


def pairs():
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 90, ROWS)
    return [(f"https://x.org/{i}.jpg", f"text {i} " + "w" * int(n)) for i, n in enumerate(lengths)]


def write(folder, form):
    folder.mkdir()
    rows = pairs()
    if form == "parquet":
        urls, texts = zip(*rows, strict=True)
        pq.write_table(pa.table({"url": urls, "text": texts}), folder / "a.parquet", row_group_size=1500)
        return folder
    plain, packed = form.removesuffix(".gz"), form.endswith(".gz")
    with gzip.open(folder / f"a.{form}", "wt") if packed else open(folder / f"a.{form}", "w", newline="") as out:
        if plain == "jsonl":
            out.writelines(json.dumps({"url": url, "text": text}) + "\n" for url, text in rows)
        else:
            writer = csv.writer(out, delimiter="\t" if plain == "tsv" else ",", lineterminator="\n")
            writer.writerows([("url", "text"), *rows])
    return folder


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("form", ["parquet", "csv", "tsv", "jsonl", "tsv.gz", "jsonl.gz"])
def test_of_any_format(form, whole, tmp_path, monkeypatch):
    if not whole:
        for name, value in {"WHOLE_ROWS": 3000, "PIECES": 12, "PIECE_BYTES": 1 << 15, "FIRST_BYTES": 1 << 16}.items():
            monkeypatch.setattr(sample, name, value)
    options = Input(paths=[str(write(tmp_path / "pool", form))])
    found = draw_sample(plan(options, False), options, 1500, seed=1)
    assert found.whole is whole
    assert found.total == ROWS if whole or form == "parquet" else found.total == pytest.approx(ROWS, rel=0.1)
    assert found.read == ROWS if whole else found.read < ROWS
    assert 200 < len(found.rows) < 7000  # A packed text is not known by its size.
    assert set(zip(found.rows["url"].to_pylist(), found.rows["text"].to_pylist(), strict=True)) <= set(pairs())
    assert len(found.rows) / found.rate == pytest.approx(ROWS, rel=0.1)
    places = np.array([int(url.split("/")[-1][:-4]) for url in found.rows["url"].to_pylist()])
    if whole or form in ("parquet", "tsv", "jsonl"):
        assert places.min() < ROWS // 4
        assert places.max() > ROWS * 3 // 4


def test_what_is_wrong_with_rows_is_counted(tmp_path):
    lines = ["url\ttext", "https://x.org/1.jpg\ta cat", "x\ta dog", "https://x.org/2.jpg\t ", "https://x.org/3.jpg"]
    (tmp_path / "a.tsv").write_text("\n".join(lines) + "\n")
    options = Input(paths=[str(tmp_path / "a.tsv")])
    found = draw_sample(plan(options, False), options, 1000, seed=0)
    assert (found.read, len(found.rows)) == (4, 1)
    assert found.dropped == {"bad_url": 1, "empty_text": 1, "malformed_row": 1}
