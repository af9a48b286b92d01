"""Shards by tasks: each reads the pairs of its range of keys, with their places, and writes a shard after another."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.buckets.files import Files
from pipeline.buckets.spark import Batches, run_tasks, totals
from pipeline.buckets.totals import Totals
from pipeline.shards.content import Load
from pipeline.shards.tar import JSON_FIELDS, write_shard
from pipeline.tars.ranks import Slice, fine_buckets, place_in_order, slices
from pipeline.tars.rows import rows_in_range

WRITTEN = pa.schema(
    {"shard": pa.string(), "samples": pa.int64(), "bytes": pa.int64(), "sha256": pa.string(),
     "dropped": pa.map_(pa.string(), pa.int64())}
)  # fmt: skip
MOST_TASKS = 4096


def count_ranks(spark: SparkSession, pairs: Files, rows: int) -> np.ndarray:
    """The pairs in each fine bucket, in key order (``pipeline.tars.ranks``)."""
    fine, files = fine_buckets(rows), len(pairs.paths)

    def count(bucket: int) -> Batches:
        found = Totals()
        for batch in pairs.read(bucket, files, ["pair_id"]):
            found.count(*np.unique(place_in_order(batch.column("pair_id").to_numpy(), fine), return_counts=True))
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(files)), count), fine).numbers(fine)


def write_shards(
    spark: SparkSession, pairs: Files, places: Files | None, ranks: np.ndarray, samples: int, folder: str, load: Load,
    at_a_time: int, *more: str,
) -> list[dict[str, Any]]:  # fmt: skip
    """Writes the pairs that have an image, in key order, into shards in ``folder``; a line for each shard.

    ``places``: of the images, by pair; without it every pair is tried. ``ranks``: how many pairs go into shards, by
    fine bucket. ``at_a_time``: images that a task reads at a time; ``more``: further columns that ``load`` looks at.
    """
    columns = ["pair_id", *JSON_FIELDS, *more]

    def write(of_task: list[Slice]) -> Batches:
        for part in of_task:
            line = write_shard(folder, part.number, _rows(part), load, at_a_time)
            yield pa.RecordBatch.from_pylist([line | {"dropped": list(line["dropped"].items())}], WRITTEN)

    def _rows(part: Slice) -> Iterator[dict[str, Any]]:
        skip, left = part.skip, part.rows
        for first, end in part.ranges:
            for batch in rows_in_range(pairs, places, first, end, columns):
                taken = batch.slice(skip, left)
                skip, left = max(0, skip - batch.num_rows), left - taken.num_rows
                yield from taken.to_pylist()

    found = slices(ranks, samples)
    size = max(1, -(-len(found) // MOST_TASKS))
    items = [found[at : at + size] for at in range(0, len(found), size)]
    lines = run_tasks(spark, items, write, WRITTEN).toArrow().to_pylist() if items else []
    return sorted((line | {"dropped": dict(line["dropped"])} for line in lines), key=lambda line: line["shard"])
