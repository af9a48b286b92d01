"""Tasks that read and write with Arrow, and the shuffle between them: Spark hands out, moves and retries."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyspark import SparkFiles, TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from pipeline import storage
from pipeline.buckets.blocks import BLOCKS, by_part, close_files, rows_of
from pipeline.buckets.files import bucket_file, write_bucket
from pipeline.buckets.scatter import Scatter, Spool, in_schema
from pipeline.buckets.totals import RANGE, Totals
from pipeline.local import task as local
from pipeline.local.rows import Rows

Batches = Iterator[pa.RecordBatch]
Parts = Iterator[tuple[int, Iterator[pa.Table]]]


def run_tasks(
    spark: SparkSession, items: list, work: Callable[[Any], Batches], schema: pa.Schema = BLOCKS
) -> DataFrame:
    """What ``work`` gives for each item: by default blocks; a task an item, which alone unpickles it."""
    sent = spark.sparkContext.broadcast([pickle.dumps(item) for item in items])

    def work_batches(batches: Batches) -> Batches:
        for batch in batches:
            for index in batch.column(0).to_pylist():
                yield from work(pickle.loads(sent.value[index]))

    return map_batches(spark.range(0, len(items), 1, len(items)), work_batches, schema)


def map_batches(rows: DataFrame | Rows, work: Callable[[Batches], Batches], schema: pa.Schema) -> DataFrame | Rows:
    """What ``work`` makes of the rows of each task."""
    return rows.mapInArrow(work, schema if isinstance(rows, Rows) else from_arrow_schema(schema))


def shuffle(
    blocks: DataFrame, targets: int, work: Callable[[int, Parts], Batches], schema: pa.Schema = BLOCKS
) -> DataFrame:
    """Brings blocks to their targets: ``work`` gets the number of its target and its rows, a part at a time."""

    def work_batches(batches: Batches) -> Batches:
        try:
            yield from work(_number(), by_part(batches))
        finally:
            close_files()

    there = blocks.repartitionById(targets, "target").sortWithinPartitions("part")
    return map_batches(there, work_batches, schema)


def write_rows(rows: DataFrame, folder: str, buckets: int) -> None:
    """Writes rows in any order as a table in buckets: the bytes of its files depend on the rows alone."""
    schema = to_arrow_schema(rows.schema, timezone="UTC")
    before, options = storage.split_options(folder)
    spool = f"{before}-rows{options}"

    def scatter(batches: Batches) -> Batches:
        there = Scatter(new_spool(spool), buckets)
        for batch in batches:
            yield from there.add(batch)
        yield from there.rest()
        there.spool.close()

    def write(bucket: int, parts: Parts) -> Batches:
        together = (pa.concat_tables(tables, promote_options="default") for _, tables in parts)
        in_order = (in_schema(rows.sort_by("pair_id"), schema) for rows in together)
        written = Totals()
        written.lines["rows",] = write_bucket(folder, bucket, attempt(), in_order, schema)
        yield from written.blocks()

    for new in (folder, spool):
        storage.remove(new)
        storage.make_folder(new)
    totals(shuffle(map_batches(rows, scatter, BLOCKS), buckets, write))
    storage.remove(spool)
    fill(folder, buckets, schema)


def fill(folder: str, buckets: int, schema: pa.Schema) -> None:
    """Writes an empty file for each bucket without one: Spark runs no task where it sees that there is no row."""
    there = set(storage.names(folder))
    for bucket in range(buckets):
        if storage.base_name(bucket_file(folder, bucket)) not in there:
            write_bucket(folder, bucket, "0", iter(()), schema)


def attempt() -> str:
    """The name of the running attempt of a task, for files that are not yet complete."""
    context = TaskContext.get()
    return str(context.taskAttemptId() if context else local.running.attempt)


def _number() -> int:
    """The number of the running task."""
    context = TaskContext.get()
    return context.partitionId() if context else local.running.number


def session_file(name: str) -> str:
    """Where a task finds a file that the session was given (``addFile``)."""
    return SparkFiles.get(name) if TaskContext.get() else local.running.files[name]


def new_spool(folder: str) -> Spool:
    """What the running attempt of a task sends rows through, with a file in a folder of its stage."""
    return Spool(storage.join(folder, attempt()))


def totals(blocks: DataFrame, size: int | None = None) -> Totals:
    """The sum of the ``Totals`` of all tasks, whose blocks these are.

    ``size``: how many indices there are; their sums are added up in tasks. Without it there are lines alone.
    """

    def add(_: int, parts: Parts) -> Batches:
        added = Totals()
        for part, tables in parts:
            for rows in tables:
                added.add(part, rows)
        yield from added.blocks()

    if size is not None:
        blocks = shuffle(blocks, max(1, -(-size // RANGE)), add)
    total = Totals()
    for batch in blocks.toArrow().to_batches():
        for row, part in enumerate(batch["part"].to_pylist()):
            total.add(part, rows_of(batch, row))
    return total
