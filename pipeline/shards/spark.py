"""Shards as a DataFrame: number the pairs, give each shard to a task, write it there."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.shards.index import scan, uids_of
from pipeline.shards.pictures import MISSING, Load
from pipeline.shards.tar import JSON_FIELDS, write_shard

WRITTEN = "shard string, samples bigint, bytes bigint, sha256 string, dropped map<string, bigint>"
PLACE = ("image_offset", "image_size")
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
    starts = sizes.select("bucket", F.coalesce(F.sum("pairs").over(before), F.lit(0)).alias("start"))
    place = F.row_number().over(Window.partitionBy("bucket").orderBy(unsigned(F.col("pair_id"))))
    ranked = bucketed.join(starts, "bucket").withColumn("rank", F.col("start") + place - 1)
    return ranked.withColumn("shard", F.floor(F.col("rank") / samples).cast("int")).drop("bucket", "start", "rank")


def with_images(curated: DataFrame, images: DataFrame, folder: str) -> DataFrame:
    """Adds what ``tar_pictures`` wants of each pair's row in ``images``; the tars are in ``folder``."""
    places = images.select(
        "image_id", "status", F.concat(F.lit(folder.rstrip("/") + "/"), "shard").alias("tar"), *PLACE
    )
    return curated.join(places, "image_id", "left")


def with_tars(curated: DataFrame, tars: list[str]) -> DataFrame:
    """Adds the same from tars that are there: of the sample whose uid, or else key, is the pair's source_uid."""

    def scan_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for tar in batch.column("tar").to_pylist():
                places = scan(tar)
                yield pa.RecordBatch.from_arrays(
                    [pa.array(uids_of(tar, places), pa.string()), pa.array([tar] * len(places), pa.string()),
                     *(places[name].combine_chunks() for name in PLACE)],
                    ["source_uid", "tar", *PLACE],
                )  # fmt: skip

    listed = curated.sparkSession.createDataFrame([(tar,) for tar in tars], "tar string").repartition(len(tars))
    found = listed.mapInArrow(scan_batches, "source_uid string, tar string, image_offset bigint, image_size bigint")
    # A sample that is in several tars is taken from the first.
    first = found.groupBy("source_uid").agg(F.min(F.struct("tar", *PLACE)).alias("place"))
    return curated.join(first.select("source_uid", "place.*", F.lit("success").alias("status")), "source_uid", "left")


def with_columns(pairs: DataFrame, folder: str) -> DataFrame:
    """Adds the columns of a folder of Parquet files by ``key``, as ``score`` and ``moderate`` write them."""
    columns = pairs.sparkSession.read.parquet(storage.spark_url(folder))
    if "key" not in columns.columns or (twice := sorted(set(columns.columns) - {"key"} & set(pairs.columns))):
        wrong = f"has {twice[0]!r}, which pairs have" if "key" in columns.columns else "has no column key"
        raise UsageError(f"shards.columns: {folder}: {wrong}")
    key = F.lower(F.lpad(F.hex("pair_id"), 16, "0"))
    return pairs.withColumn("key", key).join(columns.dropDuplicates(["key"]), "key", "left").drop("key")


def chosen(pairs: DataFrame, where: str) -> DataFrame:
    """Adds ``kept``: whether a condition in SQL holds, null where it cannot be told. ``UsageError`` for a wrong one."""
    try:
        return pairs.withColumn("kept", F.expr(where).cast("boolean"))
    except (AnalysisException, ParseException) as error:
        raise UsageError(f"shards.where: {where!r}: {str(error).splitlines()[0]}") from None


def by_choice(pairs: DataFrame) -> dict[str, int]:
    """The pairs that a condition leaves out, by reason: ``filtered``, or ``not_scored`` where it cannot be told."""
    reason = F.when(F.col("kept").isNull(), F.lit("not_scored")).otherwise(F.lit("filtered"))
    left = pairs.where("kept is null or not kept").groupBy(reason.alias("reason")).count().toArrow().to_pylist()
    return {line["reason"]: line["count"] for line in left}


def without_picture(pairs: DataFrame) -> dict[str, int]:
    """The pairs whose picture was not fetched, by its status."""
    counted = pairs.where("status is null or status != 'success'").groupBy("status").count().toArrow().to_pylist()
    return {line["status"] or MISSING: line["count"] for line in counted}


def write_shards(curated: DataFrame, pairs: int, samples: int, folder: str, load: Load) -> DataFrame:
    """Writes the shards of the curated pairs into ``folder`` from the tasks; a row a shard says what is in it."""
    columns = ["shard", "pair_id", *JSON_FIELDS, *(name for name in ("tar", *PLACE) if name in curated.columns)]

    def write_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows: Iterator[dict[str, Any]] = (row for batch in batches for row in batch.to_pylist())
        for number, of_shard in groupby(rows, key=itemgetter("shard")):
            line = write_shard(folder, number, of_shard, load)
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
