import gzip
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.buckets.keys import bucket_count
from pipeline.errors import PipelineError
from pipeline.ingest import plan as planning
from pipeline.ingest import read as reading
from pipeline.ingest.plan import plan
from pipeline.ingest.read import read_split
from pipeline.recipe import Input

from .planned import parquet, planned


def test_hidden_files_are_left_out(tmp_path):
    parquet(tmp_path / "in" / "a.parquet", url=["u"] * 5, text=["t"] * 5)
    (tmp_path / "in" / "_SUCCESS").write_text("")
    (tmp_path / "in" / ".a.parquet.crc").write_text("x")
    for pattern in (tmp_path / "in", tmp_path / "in" / "*.parquet", tmp_path / "*" / "a.*"):
        assert [(s.start, s.end) for s in planned([pattern]).splits] == [(0, 3)]


def random_texts(count, length=1000):
    """Texts that do not get smaller when they are packed."""
    rng = np.random.default_rng(0)
    return [rng.bytes(length // 2).hex() for _ in range(count)]


def packed_bytes(path):
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return [sum(group.column(i).total_compressed_size for i in range(group.num_columns)) for group in groups]


def test_a_large_parquet_file_is_cut_by_row_groups_of_about_equal_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "LEAST_BYTES", 1000)
    path = parquet(tmp_path / "a.parquet", url=["u"] * 100, text=random_texts(100))
    found, groups = planned([path]), packed_bytes(path)
    assert found.split_bytes == path.stat().st_size // planning.SPLITS
    assert [s.start for s in found.splits] == [0, *(s.end for s in found.splits[:-1])]
    assert found.splits[-1].end == len(groups) == 50
    for split in found.splits:
        assert split.size == sum(groups[split.start : split.end])
        assert split.size <= found.split_bytes or split.end == split.start + 1
    assert planning.SPLITS // 2 <= len(found.splits) <= 2 * planning.SPLITS
    # Nothing but a row group is too large.
    monkeypatch.setattr(planning, "MOST_BYTES", 1)
    assert [(s.start, s.end) for s in planned([path]).splits] == [(i, i + 1) for i in range(50)]


def one_group(path, rows=5_000):
    """A file that is one row group, of many pages."""
    rows = pa.table({"url": [f"http://x.test/{n}" for n in range(rows)], "text": random_texts(rows, 60)})
    pq.write_table(rows, path, data_page_size=8000, use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 1
    return path


def rows_and_counts(found, options):
    rows, counts = [], Counter()
    for split in found.splits:
        for batch in read_split(split, found, options):
            for row in batch.select(["url", "text", "dropped", "copies"]).to_pylist():
                if row["dropped"] is None:
                    rows.append((row["url"], row["text"]))
                else:
                    counts[row["dropped"]] += row["copies"]
    return rows, counts


@pytest.mark.parametrize("files", [1, 2, 5, 8])
@pytest.mark.parametrize("harmed", [None, 0.1, 0.6, 0.95])
def test_few_large_row_groups_are_read_in_pieces(tmp_path, monkeypatch, files, harmed):
    """With the rows and the losses that they have as a whole."""
    monkeypatch.setattr(planning, "LEAST_BYTES", 20_000)
    monkeypatch.setattr(reading, "PARQUET_ROWS", 200)
    for number in range(files):
        path = one_group(tmp_path / f"{number}.parquet")
        if harmed is not None and number == 0:
            content = bytearray(path.read_bytes())
            at = int(len(content) * harmed)
            content[at : at + 3000] = bytes(3000)
            path.write_bytes(content)
    options = Input(paths=[str(tmp_path)])
    found = plan(options, False)
    pieces = min(planning.PIECES, -(-planning.FEW // files)) if files < planning.FEW else 1
    assert len(found.splits) == files * pieces == len(found.items())
    assert {split.piece[1] for split in found.splits} == {pieces}
    assert sum(split.first for split in found.splits) == files
    whole = replace(found, splits=tuple(replace(split, piece=(0, 1)) for split in found.splits if split.first))
    rows, counts = rows_and_counts(found, options)
    assert (rows, counts) == rows_and_counts(whole, options)
    assert len(rows) + counts["unreadable"] == files * 5_000
    assert bool(counts["unreadable"]) == (harmed is not None)


def test_many_small_row_groups_are_one_item(tmp_path):
    path = parquet(tmp_path / "a.parquet", url=["u"] * 2000, text=["t"] * 2000)
    assert pq.read_metadata(path).num_row_groups == 1000
    found = planned([path])
    assert [(s.start, s.end) for s in found.splits] == [(0, 1000)]
    assert len(found.items()) == 1


def test_many_small_files_are_a_few_items(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(1000):
        (tmp_path / "in" / f"{i:04d}.csv").write_text(f"url,text\nhttp://x/{i},t\n")
    found = planned([tmp_path / "in"])
    items = found.items()
    assert [split for item in items for split in item] == list(found.splits)
    assert len(found.splits) == 1000
    # To open a file counts too, so that a thousand of them are not one task's.
    assert 1000 * planning.FILE_BYTES / found.split_bytes <= len(items) <= 70
    assert max(map(len, items)) <= found.split_bytes // planning.FILE_BYTES + 1


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
def test_a_large_text_file_is_cut_at_bytes(tmp_path, monkeypatch, form):
    monkeypatch.setattr(planning, "LEAST_BYTES", 1000)
    path = tmp_path / f"a.{form}"
    path.write_text("url\ttext\n".replace("\t", "\t" if form == "tsv" else ",") + "x" * 50_000)
    found = planned([path], multiline=False)
    assert [s.start for s in found.splits[1:]] == [s.end for s in found.splits[:-1]]
    assert found.splits[-1].end == path.stat().st_size
    assert all(s.size == s.end - s.start <= found.split_bytes for s in found.splits)
    assert len(found.items()) >= planning.SPLITS
    if form == "csv":
        assert len(planned([path]).splits) == 1  # A record may go over lines.


def test_an_item_is_about_as_large_as_a_split(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "LEAST_BYTES", 20_000)
    monkeypatch.setattr(planning, "FILE_BYTES", 100)
    for i, count in enumerate([1, 30, 2, 90, 3, 3, 3, 60, 1]):
        parquet(tmp_path / "in" / f"{i}.parquet", url=["u"] * count, text=random_texts(count))
    found = planned([tmp_path / "in"])
    items = found.items()
    assert [split for item in items for split in item] == list(found.splits)
    for item in items:
        assert len(item) == 1 or sum(split.size for split in item) <= found.split_bytes
    for one, other in zip(items, items[1:], strict=False):
        sizes = sum(split.size + 100 for split in [*one, other[0]])
        assert sizes > found.split_bytes  # No two could be one.


def test_rows_and_bytes_of_the_pool(tmp_path, monkeypatch):
    """By footers, or by the size of a text file; of a sample of the files where they are many."""
    for i in range(10):
        parquet(tmp_path / "in" / f"{i}.parquet", url=["u"] * 7, text=random_texts(7))
    found = planned([tmp_path / "in"])
    whole = sum(pq.read_metadata(tmp_path / "in" / f"{i}.parquet").row_group(0).total_byte_size for i in range(10))
    assert found.rows == 70
    assert found.size >= whole
    assert found.buckets == bucket_count(70, found.size)
    monkeypatch.setattr(planning, "OPENED", 3)
    sample = planned([tmp_path / "in"])
    assert sum(s.opened for s in sample.splits) <= 3
    assert sample.rows == pytest.approx(70, rel=0.1)
    assert sample.size == pytest.approx(found.size, rel=0.1)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"url\ttext\n" * 50_000))
    text = planned([tmp_path / "a.tsv.gz"])
    assert text.size == (tmp_path / "a.tsv.gz").stat().st_size * planning.GZIP_RATIO


def write_many(folder):
    """Files of every format, one of them as only those that are looked at should be."""
    folder.mkdir()
    for i in range(4):
        rows = [(f"http://x/{i}{k}", f"größe {k}") for k in range(20)]
        lines = ["url,text", *(f"{url},{text}" for url, text in rows)]
        parquet(folder / f"{i}.parquet", url=[url for url, _ in rows], text=[text for _, text in rows])
        (folder / f"{i}.csv").write_text("\n".join(lines).replace("http://x", "http://csv"))
        (folder / f"{i}.tsv").write_text(
            "\n".join(lines).replace("http://x", "http://tsv").replace(",", "\t"), "utf-16"
        )
        (folder / f"{i}.jsonl.gz").write_bytes(
            gzip.compress(
                "".join(json.dumps({"url": f"http://json/{i}{k}", "text": "t"}) + "\n" for k in range(20)).encode()
            )
        )
    return folder


def read_all(found, options):
    rows = pa.Table.from_batches(
        [b for item in found.items() for split in item for b in read_split(split, found, options)]
    )
    kept = rows.filter(pc.is_null(rows["dropped"])).to_pylist()
    counted = Counter()
    for line in rows.filter(pc.is_valid(rows["dropped"])).to_pylist():
        counted[line["dropped"], line["source_uid"] and line["source_uid"].rsplit("/", 1)[-1]] += line["copies"]
    return kept, counted


@pytest.mark.parametrize("multiline", [True, False])
def test_files_that_are_not_opened_before_give_the_same_rows(tmp_path, monkeypatch, multiline):
    options = Input(paths=[str(write_many(tmp_path / "in"))], multiline=multiline)
    found = plan(options, False)
    want = read_all(found, options)
    assert len(want[0]) == 320
    monkeypatch.setattr(planning, "OPENED", 6)
    looked = plan(options, False)
    assert sum(not s.opened for s in looked.splits) == 10
    assert (looked.files, looked.passed) == (found.files, found.passed)
    assert read_all(looked, options) == want


def test_files_that_are_not_opened_before_may_be_damaged(tmp_path, monkeypatch):
    """Each is counted and named, and no task fails for it: no column, one of a wrong type, cut, in UTF-32."""
    folder = write_many(tmp_path / "in")
    options = Input(paths=[str(folder)])
    monkeypatch.setattr(planning, "OPENED", 6)
    opened = {s.path.rsplit("/", 1)[-1] for s in plan(options, False).splits if s.opened}
    closed = sorted({file.name for file in folder.iterdir()} - opened)
    first, second, third = [name for name in closed if name.endswith(".parquet")][:3]
    parquet(folder / first, url=["http://x"], caption=["t"])
    parquet(folder / second, url=["http://x"], text=[5])
    (folder / third).write_bytes((folder / third).read_bytes()[:-9])
    csv, tsv, packed = (next(n for n in closed if n.endswith(end)) for end in (".csv", ".tsv", ".jsonl.gz"))
    (folder / csv).write_text("url,words\nhttp://x/1,t\n")
    (folder / tsv).write_text("url\ttext\nhttp://x/1\tt\n", "utf-32")
    (folder / packed).write_bytes((folder / packed).read_bytes()[:-40])
    found = plan(options, False)
    assert {s.path.rsplit("/", 1)[-1] for s in found.splits if s.opened} == opened
    kept, counted = read_all(found, options)
    assert {file for reason, file in counted if reason == "unreadable"} == {first, second, third, csv, tsv}
    assert {file for reason, file in counted if reason == "truncated"} == {packed}
    assert 320 - 6 * 20 <= len(kept) < 320 - 5 * 20


def test_with_columns_to_pass_through_every_file_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "OPENED", 2)
    for i in range(9):
        parquet(tmp_path / "in" / f"{i}.parquet", url=["u"], text=["t"], x=[i if i < 8 else 0.5])
    found = planned([tmp_path / "in"], pass_through=["x"])
    assert all(s.opened for s in found.splits)
    assert found.passed.field("x").type == pa.float64()


def test_a_damaged_file_among_good_ones(tmp_path):
    good = parquet(tmp_path / "a.parquet", url=["u"] * 9, text=["t"] * 9)
    (tmp_path / "b.parquet").write_bytes(good.read_bytes()[:-20])
    (tmp_path / "c.csv.gz").write_bytes(b"not gzip")
    damaged = {s.path.rsplit("/", 1)[1]: s.damage for s in planned([tmp_path]).splits if s.damage}
    assert set(damaged) == {"b.parquet", "c.csv.gz"}
    good.unlink()
    with pytest.raises(PipelineError, match="no file can be read"):
        planned([tmp_path])
