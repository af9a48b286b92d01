import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tables
from pipeline.tables import row_groups


def test_row_groups_do_not_depend_on_batches(monkeypatch):
    monkeypatch.setattr(tables, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 25)
    table = pa.table({"id": range(60), "text": ["x" * (i % 7) for i in range(60)]})
    cuts = []
    for size in (1, 3, 7, 60):
        groups = list(row_groups(iter(table.to_batches(max_chunksize=size)), table.schema))
        assert pa.concat_tables(groups).equals(table)
        assert all(column.num_chunks == 1 for group in groups for column in group.columns)
        cuts.append([group.num_rows for group in groups])
    assert all(cut == cuts[0] for cut in cuts)
    assert max(cuts[0]) <= 10
    assert len(cuts[0]) > 6


def test_row_groups_of_nothing_and_of_long_texts(monkeypatch):
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 5)
    schema = pa.schema({"text": pa.string()})
    assert list(row_groups(iter(()), schema)) == []
    batch = pa.record_batch({"text": ["x" * 9, "", "abc", "de", "f"]})
    assert [g.num_rows for g in row_groups(iter([batch]), schema)] == [1, 3, 1]


@pytest.mark.parametrize("files", [1, 3])
def test_write_sorted(spark, tmp_path, files):
    rows = spark.createDataFrame(
        [(i * 7919 % 1000 - 500, f"text {i}") for i in range(1000)], "pair_id bigint, text string"
    )
    found = []
    for name, partitions in (("a", 1), ("b", 7)):
        tables.write_sorted(rows.repartition(partitions, "text"), str(tmp_path), name, files)
        parts = sorted((tmp_path / ".staging" / name).iterdir())
        assert [p.name for p in parts] == [f"part-{i:05d}.parquet" for i in range(files)]
        for part in parts:
            ids = pq.read_table(part)["pair_id"].to_pylist()
            assert ids == sorted(ids)
        found.append([part.read_bytes() for part in parts])
    assert found[0] == found[1]


def test_write_sorted_of_nothing(spark, tmp_path):
    tables.write_sorted(spark.createDataFrame([], "pair_id bigint, text string"), str(tmp_path), "a", 1)
    assert tables.count_rows(str(tmp_path / ".staging" / "a")) == 0


def test_write_accounted(spark, tmp_path):
    rows = spark.createDataFrame(
        [(1, None), (2, "bad"), (3, None), (4, "worse"), (5, "bad")], "id bigint, dropped string"
    )
    assert tables.write_accounted(rows, str(tmp_path), "t") == {None: 2, "bad": 2, "worse": 1}
    tables.commit(str(tmp_path), "t")
    assert sorted(tables.read_arrow(str(tmp_path / "t"))["id"].to_pylist()) == [1, 3]
    assert tables.write_accounted(rows.where("dropped is not null"), str(tmp_path), "u") == {
        None: 0,
        "bad": 2,
        "worse": 1,
    }
    assert tables.write_accounted(rows.where("false"), str(tmp_path), "u") == {None: 0}
    assert tables.read(spark, tables.staging(str(tmp_path), "u")).columns == ["id"]
