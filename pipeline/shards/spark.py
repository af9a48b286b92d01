"""Shards as a DataFrame: number the pairs, give each shard to a task, write it there."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.shards.content import MISSING, Load
from pipeline.shards.tar import JSON_FIELDS, write_shard

WRITTEN = "shard string, samples bigint, bytes bigint, sha256 string, dropped map<string, bigint>"
BUCKET_BITS = 20
MOST_PARTITIONS = 4096


def unsigned(column: Column) -> Column:
    """A signed value whose order is the unsigned order of the column's bits, which is that of the keys."""
    return column.bitwiseXOR(F.lit(-(2**63)).cast("bigint"))


def numbered(curated: DataFrame, samples: int) -> DataFrame:
    """Adds ``shard``: the pairs in key order, ``samples`` to a shard.

    The rank of a pair is the number of pairs in smaller buckets of its id's leading bits plus its rank in its own, so
    nothing is sorted as a whole and the result does not depend on the partitioning. A pair_id is a hash: key order is
    a shuffle of the pool.
    """
    bucketed = curated.withColumn("bucket", F.shiftrightunsigned(F.col("pair_id"), 64 - BUCKET_BITS))
    sizes = bucketed.groupBy("bucket").agg(F.count("*").alias("pairs"))
    before = Window.orderBy("bucket").rowsBetween(Window.unboundedPreceding, -1)
    starts = sizes.select("bucket", F.coalesce(F.sum("pairs").over(before), F.lit(0)).alias("bucket_start"))
    place = F.row_number().over(Window.partitionBy("bucket").orderBy(unsigned(F.col("pair_id"))))
    ranked = bucketed.join(starts, "bucket").withColumn("rank", F.col("bucket_start") + place - 1)
    return ranked.withColumn("shard", F.floor(F.col("rank") / samples).cast("int")).drop(
        "bucket", "bucket_start", "rank"
    )


def without_image(pairs: DataFrame) -> dict[str, int]:
    """The pairs whose image was not fetched, by its status."""
    counted = pairs.where("status is null or status != 'success'").groupBy("status").count().toArrow().to_pylist()
    return {line["status"] or MISSING: line["count"] for line in counted}


def write_shards(
    curated: DataFrame, pairs: int, samples: int, folder: str, load: Load, at_a_time: int, *more: str
) -> DataFrame:
    """Writes the shards of the curated pairs into ``folder`` from the tasks; a row a shard says what is in it.

    ``at_a_time``: images that a task reads at a time; ``more``: further columns that ``load`` looks at.
    """
    columns = ["shard", "pair_id", *JSON_FIELDS, "tar", "image_offset", "image_size", *more]

    def write_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows: Iterator[dict[str, Any]] = (row for batch in batches for row in batch.to_pylist())
        for number, of_shard in groupby(rows, key=itemgetter("shard")):
            line = write_shard(folder, number, of_shard, load, at_a_time)
            dropped = pa.array([list(line["dropped"].items())], pa.map_(pa.string(), pa.int64()))
            plain = {name: pa.array([line[name]]) for name in ("shard", "samples", "bytes", "sha256")}
            yield pa.record_batch(plain | {"dropped": dropped})

    shards = -(-pairs // samples)
    tasks = max(1, min(shards, MOST_PARTITIONS))
    return (
        curated.transform(numbered, samples)
        .select(*columns)
        .repartitionById(tasks, F.col("shard") % tasks)
        .sortWithinPartitions("shard", unsigned(F.col("pair_id")))
        .mapInArrow(write_batches, WRITTEN)
    )
