"""Files of buckets: any bucket of any number, row groups, and attempts that die."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets import files
from pipeline.buckets.files import Files, bucket_file, read_file, row_groups, write_bucket
from tests.buckets.written import write_table

LEAST, END = -(2**63), 2**63
EXTREMES = [LEAST, LEAST + 1, -1, 0, 1, END - 1]


def ids_of(batches) -> list[int]:
    return [i for batch in batches for i in batch["pair_id"].to_pylist()]


def table(ids: list[int]) -> pa.Table:
    lists = [[i % 3, None] if i % 2 else None for i in ids]
    return pa.table(
        {
            "x": pa.array(lists, pa.list_(pa.int32())),
            "pair_id": pa.array(ids, pa.int64()),
            "text": [f"t{i}" for i in ids],
        }
    )


@settings(max_examples=60, deadline=None)
@given(
    ids=st.sets(st.integers(LEAST, END - 1) | st.sampled_from(EXTREMES), max_size=40),
    written=st.integers(1, 9),
    read=st.integers(1, 12),
    group=st.sampled_from([1, 3, 1 << 16]),
    step=st.sampled_from([1, 4, 1 << 14]),
)
def test_any_bucket_of_any_number_of_files(tmp_path_factory, ids, written, read, group, step):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROW_GROUP_ROWS", group)
        patch.setattr(files, "READ_ROWS", step)
        found = write_table(tmp_path_factory.mktemp("files") / "t", table(list(ids)), written)
        assert len(found.paths) == written
        for bucket in range(read):
            want = sorted(i for i in ids if (i - LEAST) * read // 2**64 == bucket)
            batches = list(found.read(bucket, read))
            assert ids_of(batches) == want
            assert all(batch.num_rows for batch in batches)
            assert [line for batch in batches for line in batch.to_pylist()] == table(want).to_pylist()
            assert ids_of(found.read(bucket, read, ["pair_id"])) == want


def test_columns_are_chosen_and_files_of_others_not_opened(tmp_path):
    rng = np.random.default_rng(0)
    found = write_table(tmp_path / "t", table(rng.integers(LEAST, END - 1, 200).tolist()), 4)
    batches = list(found.read(1, 4, ["pair_id", "text"]))
    assert {tuple(batch.schema.names) for batch in batches} <= {("pair_id", "text"), ("text", "pair_id")}
    for other in (0, 2, 3):
        Path(found.paths[other]).unlink()
    assert ids_of(found.read(1, 4)) == ids_of(batches)
    assert ids_of(found.read(3, 8)) == [i for i in ids_of(batches) if i >= -(2**61)]
    with pytest.raises(FileNotFoundError):
        list(found.read(0, 2))


def test_row_groups_of_other_ranges_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROW_GROUP_ROWS", 10)
    found = write_table(tmp_path / "t", table(list(range(-1000, 1000, 10))), 1)
    path = Path(found.paths[0])
    content, meta = bytearray(path.read_bytes()), pq.read_metadata(path)
    assert meta.num_row_groups == 20
    for group in range(20):  # All but the eleventh are damaged.
        for column in range(meta.num_columns):
            chunk = meta.row_group(group).column(column)
            if group != 10:
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(content)
    assert ids_of(read_file(str(path), ids=(0, 100))) == list(range(0, 100, 10))
    assert ids_of(read_file(str(path), ids=(55, 61))) == [60]
    assert ids_of(read_file(str(path), ids=(61, 62))) == []
    with pytest.raises((OSError, pa.ArrowException)):
        list(read_file(str(path)))


def test_row_groups_do_not_depend_on_batches(monkeypatch):
    monkeypatch.setattr(files, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(files, "ROW_GROUP_BYTES", 25)
    rows = pa.table({"id": range(60), "text": ["x" * (i % 7) for i in range(60)]})
    cuts = []
    for size in (1, 3, 7, 60):
        groups = list(row_groups(iter(rows.to_batches(max_chunksize=size)), rows.schema))
        assert pa.concat_tables(groups).equals(rows)
        assert all(column.num_chunks == 1 for group in groups for column in group.columns)
        cuts.append([group.num_rows for group in groups])
    assert all(cut == cuts[0] for cut in cuts)
    assert max(cuts[0]) <= 10
    assert len(cuts[0]) > 6


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), max_size=60),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    most=st.sampled_from([1, 5, 25, 10**6]),
    rows=st.integers(1, 12),
)
def test_row_groups_of_any_batches(lengths, sizes, most, rows):
    """Cut after the row that fills a group, by a plain loop over the rows."""
    whole = pa.table({"text": pa.array(["x" * n for n in lengths], pa.string())})
    want, held = [], []
    for length in lengths:
        held.append(length)
        if len(held) == rows or sum(held) >= most:
            want.append(len(held))
            held = []
    want += [len(held)] if held else []
    batches, at = [], 0
    while at < len(lengths):
        size = sizes[len(batches) % len(sizes)]
        batches.append(whole.slice(at, size))
        at += size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROW_GROUP_ROWS", rows)
        patch.setattr(files, "ROW_GROUP_BYTES", most)
        groups = list(row_groups(iter(batches), whole.schema))
    assert [group.num_rows for group in groups] == want
    assert pa.concat_tables([*groups, whole[:0]]).equals(whole)


def test_row_groups_of_nothing_and_of_long_texts(monkeypatch):
    monkeypatch.setattr(files, "ROW_GROUP_BYTES", 5)
    schema = pa.schema({"text": pa.string()})
    assert list(row_groups(iter(()), schema)) == []
    batch = pa.record_batch({"text": ["x" * 9, "", "abc", "de", "f"]})
    assert [g.num_rows for g in row_groups(iter([batch]), schema)] == [1, 3, 1]


def test_row_groups_of_many_small_batches_take_no_square_of_their_number():
    batch = pa.record_batch({"text": ["a text"] * 3})
    started = time.process_time()
    groups = list(row_groups((batch[: at % 4] for at in range(4000)), batch.schema))
    assert time.process_time() - started < 2
    assert [group.num_rows for group in groups] == [6000]


@pytest.mark.parametrize("coded", [True, ["text"]])
def test_the_bytes_of_a_file_depend_on_the_rows_alone(tmp_path, coded):
    rows, found = table(list(range(500))), set()
    for size in (1, 7, 500):
        written = write_bucket(str(tmp_path), size, f"{size}", iter(rows.to_batches(size)), rows.schema, coded)
        assert written == 500
        found.add(Path(bucket_file(str(tmp_path), size)).read_bytes())
    assert len(found) == 1


def test_an_attempt_that_dies_leaves_a_hidden_file_alone(tmp_path):
    rows = table(list(range(100)))

    def dying():
        yield from rows.to_batches(30)
        raise MemoryError("killed")

    with pytest.raises(MemoryError):
        write_bucket(str(tmp_path), 0, "17", dying(), rows.schema)
    assert [path.name for path in tmp_path.iterdir()] == [".00000.17"]
    assert Files.of(str(tmp_path)).paths == ()
    assert ds.dataset(tmp_path, format="parquet").files == []
    assert write_bucket(str(tmp_path), 0, "18", iter(rows.to_batches()), rows.schema) == 100
    assert [path.rsplit("/")[-1] for path in Files.of(str(tmp_path)).paths] == ["part-00000.parquet"]
    # Of two attempts that both end, the second takes the place of the first.
    assert write_bucket(str(tmp_path), 0, "19", iter(rows.to_batches(3)), rows.schema) == 100
    assert ds.dataset(tmp_path, format="parquet").count_rows() == 100


def test_files_beside_a_table_are_none_of_it(tmp_path):
    found = write_table(tmp_path / "t", table([1, 2, -3]), 2)
    (tmp_path / "t" / "_counts").mkdir()
    (tmp_path / "t" / "_counts" / "part-00000.parquet").write_bytes(b"")
    (tmp_path / "t" / "_SUCCESS").write_bytes(b"")
    (tmp_path / "t" / ".part-00000.parquet").write_bytes(b"")
    assert Files.of(str(tmp_path / "t")) == found
