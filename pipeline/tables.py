"""The tables between the stages: their schemas, accounted and atomic writing, reading.

Every table is a folder of Parquet files. A stage writes to ``.staging/`` of the output folder and moves the finished
table into its place, so that a table is there complete or not at all.

Rows are accounted for by what tasks write. Most stages count as their rows pass (``pipeline.buckets.totals``). The
filter's DataFrame holds kept and dropped rows, told apart by the column ``dropped`` (null, or the reason):
``write_accounted`` writes both, partitioned by that column, counts the committed rows and moves the kept ones into
place. An accumulator would count a retried task twice; a row cannot.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from pipeline import storage
from pipeline.buckets.files import file_rows
from pipeline.buckets.spark import Batches, run_tasks
from pipeline.local.rows import Rows

LONG, INT, DOUBLE, STRING, BOOLEAN = LongType(), IntegerType(), DoubleType(), StringType(), BooleanType()


def extended(schema: StructType, **columns: DataType) -> StructType:
    """The schema with more columns at its end (``StructType.add`` would change the one it is called on)."""
    return StructType([*schema.fields, *(StructField(name, kind) for name, kind in columns.items())])


PAIRS = extended(
    StructType(),
    pair_id=LONG,
    image_id=STRING,
    url=STRING,
    text=STRING,
    text_source=STRING,
    page_url=STRING,
    page_language=STRING,
    language=STRING,
    language_score=DOUBLE,
    width=INT,
    height=INT,
    source_uid=STRING,
    copies=LONG,
)
ENTRIES = ArrayType(INT)
MATCH = {"entry_list": STRING, "entries": ENTRIES, "draw": DOUBLE}
MATCHED = extended(PAIRS, **MATCH)
CURATED = extended(MATCHED, keep_probability=DOUBLE)
CLUSTERS = extended(StructType(), pair_id=LONG, cluster_id=LONG, kept=BOOLEAN)
ENTRY_COUNTS = pa.schema(
    {
        "entry_list": pa.string(),
        "entry_id": pa.int32(),
        "entry": pa.string(),
        "count": pa.int64(),
        "probability": pa.float64(),
        "kept": pa.int64(),
    }
)
THRESHOLDS = pa.schema(
    {
        "entry_list": pa.string(),
        "t": pa.float64(),
        "tail_share": pa.float64(),
        "pairs": pa.int64(),
        "matches": pa.int64(),
        "entries": pa.int64(),
        "entries_matched": pa.int64(),
        "kept": pa.int64(),
    }
)

STAGING = ".staging"
# Files of so many bytes together are described without tasks.
READ_HERE = 512 << 20
DESCRIBED = pa.schema({"path": pa.string(), "rows": pa.int64(), "sha256": pa.string(), "bytes": pa.int64()})
_KEPT = "dropped=__HIVE_DEFAULT_PARTITION__"


def arrow_schema(schema: StructType, passed: pa.Schema | None = None) -> pa.Schema:
    """The schema of a table's files: what Spark makes of it and of the pass-through columns behind it."""
    more = from_arrow_schema(passed).fields if passed else []
    return to_arrow_schema(StructType([*schema.fields, *more]), timezone="UTC")


def with_columns(schema: pa.Schema, **columns: DataType) -> pa.Schema:
    """The schema of a table's files with more columns at its end."""
    return pa.schema([*schema, *arrow_schema(extended(StructType(), **columns))])


@dataclass
class Account:
    """The rows of a stage: in = out + the sum of ``dropped`` by reason."""

    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def balanced(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows_in == self.rows_out + sum(self.dropped.values())


def staging(output: str, name: str) -> str:
    """The folder in which a table named ``name`` is written before it moves into its place."""
    return storage.join(output, STAGING, name)


def new_folder(output: str, name: str) -> str:
    """The folder of ``staging``, new and empty."""
    folder = staging(output, name)
    storage.remove(folder)
    storage.make_folder(folder)
    return folder


def read(spark: SparkSession, folder: str, schema: StructType | None = None, only: str = "*") -> DataFrame:
    """The table in a folder; ``only``: the pattern of its files' names.

    Spark takes the folder's path for no pattern. (With several paths it would then read each as often as there are.)
    """
    reader = spark.read.options(__globPaths__=False, pathGlobFilter=only)
    return (reader.schema(schema) if schema else reader).parquet(storage.spark_url(folder))


def read_arrow(folder: str, columns: list[str] | None = None) -> pa.Table:
    """A table as one Arrow table; for tables of entries and lists, not of pairs."""
    return _dataset(folder).to_table(columns=columns)


def count_rows(folder: str) -> int:
    """The rows of a table, from its footers."""
    return _dataset(folder).count_rows()


def file_schema(path: str) -> pa.Schema:
    """The schema of one Parquet file, from its footer."""
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        return pq.read_schema(file)


def _dataset(folder: str) -> pads.Dataset:
    filesystem, path = storage.open_filesystem(folder)
    return pads.dataset(path, filesystem=filesystem, format="parquet", exclude_invalid_files=False)


def keep_only_reasons(rows: DataFrame, also: tuple[str, ...] = ()) -> DataFrame:
    """Empties the columns of dropped rows (but ``also``), so that what is thrown away costs nothing to write."""
    columns = [
        F.col(c) if c == "dropped" or c in also else F.when(F.col("dropped").isNull(), F.col(c)).alias(c)
        for c in rows.columns
    ]
    return rows.select(*columns)


def write_accounted(rows: DataFrame, output: str, name: str) -> dict[str | None, int]:
    """Writes the kept rows of a DataFrame with a ``dropped`` column to staging and returns rows by reason.

    The reason None is for kept rows. ``commit`` then moves the table into its place.
    """
    target, everything = staging(output, name), staging(output, f"{name}-accounted")
    rows.write.mode("overwrite").partitionBy("dropped").parquet(storage.spark_url(everything))
    spark = rows.sparkSession
    schema = StructType([f for f in rows.schema if f.name != "dropped"])
    kept = storage.join(everything, _KEPT)
    if storage.exists(kept):
        storage.replace(kept, target)
    else:
        storage.remove(target)
        spark.createDataFrame([], schema).coalesce(1).write.parquet(storage.spark_url(target))
    counts: dict[str | None, int] = {None: count_rows(target)}
    for folder in storage.names(everything):
        if folder.startswith("dropped="):
            counts[folder.removeprefix("dropped=")] = count_rows(storage.join(everything, folder))
    return counts


def write(rows: DataFrame | Rows, output: str, name: str) -> DataFrame | Rows:
    """Writes a DataFrame to staging and returns it read back: its lineage is cut there. ``Rows`` are kept apart."""
    if isinstance(rows, Rows):
        return rows.kept()
    target = staging(output, name)
    rows.write.mode("overwrite").parquet(storage.spark_url(target))
    return read(rows.sparkSession, target, rows.schema)


def write_arrow(table: pa.Table, output: str, name: str) -> None:
    """Writes an Arrow table of entries or lists to staging as one file."""
    folder = staging(output, name)
    storage.remove(folder)
    storage.make_folder(folder)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    storage.write_bytes(storage.join(folder, "part-00000.parquet"), sink.getvalue().to_pybytes())


def commit(output: str, *names: str) -> None:
    """Moves finished tables from staging into their place, without what attempts that died left there."""
    for name in names:
        for left in storage.names(staging(output, name)):
            if left.startswith("."):
                storage.remove(storage.join(staging(output, name), left))
        storage.replace(staging(output, name), storage.join(output, name))


def _digest(path: str) -> str:
    """The SHA-256 of a file; a shard's was taken while it was written."""
    before, options = storage.split_options(path)
    shard = before.endswith(".tar")
    stats = storage.read_json(f"{before.removesuffix('.tar')}_stats.json{options}") if shard else None
    return stats["sha256"] if stats else storage.sha256(path)


def describe_files(spark: SparkSession, output: str, folders: list[str]) -> list[dict]:
    """For the manifest: path (below the output), bytes, rows (of Parquet) and SHA-256 of all files in finished folders.

    The tasks read the files, one at a time; little ones are read here.
    """
    found = [file for folder in folders for file in storage.files_below(storage.join(output, folder))]
    for folder in (*{path.rpartition("/")[0] for path, _, _ in found}, output):
        storage.sync(folder)
    root = storage.open_filesystem(output)[1].rstrip("/") + "/"
    if sum(size for _, size, _ in found) <= READ_HERE:
        with ThreadPoolExecutor() as threads:
            lines = list(threads.map(lambda file: describe(file[0], file[1], root), found))
        return sorted(lines, key=lambda line: line["path"])

    def describe_some(files: list[tuple[str, int, int]]) -> Batches:
        yield pa.RecordBatch.from_pylist([describe(path, size, root) for path, size, _ in files], DESCRIBED)

    tasks = min(len(found), 4 * spark.sparkContext.defaultParallelism)
    files = run_tasks(spark, [found[task::tasks] for task in range(tasks)], describe_some, DESCRIBED)
    lines = files.toArrow().sort_by("path").to_pylist()
    return [{k: v for k, v in line.items() if v is not None} for line in lines]


def describe(path: str, size: int, root: str) -> dict:
    """A file's line of the manifest; ``root``: the folder that holds all, with a slash.

    The disk has the file then: a record that names it is never there without it.
    """
    storage.sync(path)
    rows = {"rows": file_rows(path)} if storage.base_name(path).endswith(".parquet") else {}
    below = storage.open_filesystem(path)[1].removeprefix(root)
    return {"path": below, **rows, "sha256": _digest(path), "bytes": size}
