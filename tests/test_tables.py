import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import tables
from pipeline.buckets.spark import write_rows


def test_the_schema_of_files_is_what_spark_makes_of_them(spark, tmp_path):
    """With the columns that are passed through behind it, and more at its end."""
    passed = pa.schema({"x": pa.list_(pa.float32()), "at": pa.timestamp("us", "UTC"), "n": pa.decimal128(20, 0)})
    schema = tables.with_columns(tables.arrow_schema(tables.PAIRS, passed), **tables.MATCH)
    assert schema.names == [*tables.PAIRS.names, *passed.names, *tables.MATCH]
    assert schema.field("n").type == passed.field("n").type
    pq.write_table(schema.empty_table(), tmp_path / "t.parquet")
    found = tables.read(spark, str(tmp_path))
    assert found.columns == schema.names
    assert found.select(*tables.PAIRS.names).schema == tables.PAIRS
    assert found.schema["entries"].dataType == tables.ENTRIES


def test_a_table_in_buckets_is_one_of_ours(spark, tmp_path):
    rows = spark.createDataFrame([(i * 2**58, f"text {i}") for i in range(-20, 20)], "pair_id bigint, text string")
    write_rows(rows, tables.staging(str(tmp_path), "t"), 3)
    tables.commit(str(tmp_path), "t")
    assert tables.count_rows(str(tmp_path / "t")) == 40
    assert tables.read(spark, str(tmp_path / "t")).schema == rows.schema
    assert tables.read_arrow(str(tmp_path / "t"))["pair_id"].to_pylist() == [i * 2**58 for i in range(-20, 20)]
    files = tables.describe_files(spark, str(tmp_path), ["t"])
    assert [file["path"] for file in files] == [f"t/part-{i:05d}.parquet" for i in range(3)]
    assert sum(file["rows"] for file in files) == 40


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
