"""The images of a curated set as a DataFrame: give each to a shard, fetch shards in tasks, read what came of them."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.images.fetch import IMAGES, RETRIABLE, SUCCESS, fetch_shard, shard_name
from pipeline.recipe import Images


def asked(curated: DataFrame) -> DataFrame:
    """The image_id and url of each image of the curated pairs."""
    return curated.groupBy("image_id").agg(F.min("url").alias("url"))


def fetch_shards(images: DataFrame, first: int, shards: int, folder: str, options: Images) -> int:
    """Fetches images into shards ``first`` and on, but for those that are there; returns the number of images fetched.

    Which shard an image is in follows from its id, so that a run that stopped goes on where it was.
    """
    there = set(storage.names(folder))
    todo = [n for n in range(first, first + shards) if f"{shard_name(n)}.parquet" not in there]
    if not todo:
        return 0

    tasks, a_host = tasks_and_requests(len(todo), options.requests_per_host, _cores(images))

    def fetch_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in batch.to_pylist())
        for shard, of_shard in groupby(rows, key=itemgetter("shard")):
            asked = [{"image_id": row["image_id"], "url": row["url"]} for row in of_shard]
            fetch_shard(folder, shard, asked, options, a_host)
            yield pa.record_batch({"images": pa.array([len(asked)], pa.int64())})

    shard = F.pmod(F.xxhash64("image_id"), F.lit(shards)).cast("int") + first
    numbered = images.select("image_id", "url", shard.alias("shard")).where(F.col("shard").isin(todo))
    spread = numbered.repartitionById(tasks, F.col("shard") % tasks).sortWithinPartitions("shard", "image_id")
    fetched = spread.mapInArrow(fetch_batches, "images bigint")
    return fetched.agg(F.coalesce(F.sum("images"), F.lit(0))).first()[0]


def tasks_and_requests(shards: int, a_host: int, cores: int) -> tuple[int, int]:
    """The number of tasks, and how many requests a host may get at a time from each.

    ``a_host`` (0: any number) is divided over the tasks that run at a time; where it is less than the cores there are
    no more tasks than it.
    """
    tasks = min(shards, a_host) if 0 < a_host < cores else shards
    return tasks, a_host // min(tasks, cores) if a_host else 0


def _cores(images: DataFrame) -> int:
    """The tasks that the session runs at a time, as far as it knows its executors."""
    return images.sparkSession.sparkContext.defaultParallelism


def outcomes(spark: SparkSession, folder: str, end: int) -> DataFrame:
    """The last row of each image in the tables of the shards below ``end``: later shards are later tries."""
    schema = from_arrow_schema(IMAGES)
    names = [name for name in storage.names(folder) if name.endswith(".parquet") and name < shard_name(end)]
    files = [storage.spark_url(storage.join(folder, name)) for name in names]
    if not files:
        return spark.createDataFrame([], schema)
    rows = spark.read.schema(schema).parquet(*files)
    number = F.regexp_extract(F.input_file_name(), r"(\d+)\.parquet", 1).cast("int")
    place = F.row_number().over(Window.partitionBy("image_id").orderBy(F.desc("number")))
    last = rows.withColumn("number", number).withColumn("place", place).where("place = 1")
    return last.select(*IMAGES.names)


def to_retry(outcomes: DataFrame) -> DataFrame:
    """The images whose status may change at another time."""
    return outcomes.where(F.col("status").rlike("^(" + "|".join(RETRIABLE) + ")")).select("image_id", "url")


def by_reason(outcomes: DataFrame) -> dict[str, int]:
    """Images by status."""
    counted = outcomes.groupBy("status").count().toArrow().to_pylist()
    return {line["status"]: line["count"] for line in sorted(counted, key=lambda line: line["status"])}


def failures_by_host(outcomes: DataFrame, most: int) -> list[dict]:
    """The hosts with most failures: host, images, failed."""
    host = F.lower(F.regexp_extract("url", r"^[A-Za-z]+://([^/:?#]*)", 1))
    failed = F.sum((F.col("status") != SUCCESS).cast("long"))
    hosts = outcomes.groupBy(host.alias("host")).agg(F.count("*").alias("images"), failed.alias("failed"))
    return hosts.where("failed > 0").orderBy(F.desc("failed"), "host").limit(most).toArrow().to_pylist()
