"""The images of a curated set as a DataFrame: which to ask for, fetch them in tasks, read what came of them."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline import storage
from pipeline.images.fetch import IMAGES, RETRIABLE, SUCCESS, fetch_shard, is_table, table_path
from pipeline.recipe import Images
from pipeline.tables import INT, LONG, extended, read
from pipeline.tombstones.table import Stored


def asked(curated: DataFrame) -> DataFrame:
    """The image_id and url of each image of the curated pairs."""
    return curated.groupBy("image_id").agg(F.min("url").alias("url"))


def fetch_shards(
    images: DataFrame, first: int, shards: int, folder: str, options: Images, removed: Stored | None = None
) -> None:
    """Fetches images into the shards ``first`` and on; which one an image is in follows from its id.

    ``removed``: the tombstones of images that are not to come back.
    """
    tasks, a_host = tasks_and_requests(shards, options.requests_per_host, _cores(images))

    def fetch_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in batch.to_pylist())
        for shard, of_shard in groupby(rows, key=itemgetter("shard")):
            asked = [{"image_id": row["image_id"], "url": row["url"]} for row in of_shard]
            if not storage.exists(table_path(folder, shard)):  # A task that runs again asks for nothing twice.
                fetch_shard(folder, shard, asked, options, a_host, removed)
            yield pa.record_batch({"images": pa.array([len(asked)], pa.int64())})

    shard = F.pmod(F.xxhash64("image_id"), F.lit(shards)).cast("int") + first
    numbered = images.select("image_id", "url", shard.alias("shard"))
    spread = numbered.repartitionById(tasks, F.col("shard") % tasks).sortWithinPartitions("shard", "image_id")
    spread.mapInArrow(fetch_batches, "images bigint").agg(F.sum("images")).first()


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


def tried(spark: SparkSession, folder: str) -> DataFrame:
    """What came of each image that was ever asked for: ``IMAGES`` as of its last shard, ``number``, and ``tries``.

    Later shards are later tries, and ``number`` is that of the last.
    """
    schema = from_arrow_schema(IMAGES)
    if not any(map(is_table, storage.names(folder))):
        return spark.createDataFrame([], extended(schema, number=INT, tries=LONG))
    number = F.regexp_extract(F.col("_metadata.file_name"), r"^(\d+)\.parquet$", 1).cast("int")
    rows = read(spark, folder, schema, only="[0-9]*.parquet").withColumn("number", number)
    last = F.max_by(F.struct(*IMAGES.names, "number"), "number").alias("last")
    return rows.groupBy("image_id").agg(last, F.count("*").alias("tries")).select("last.*", "tries")


def to_ask(asked: DataFrame, tried: DataFrame, retries: int, first: int, most_wait: float) -> DataFrame:
    """The images that are asked for now: image_id, url, and ``waits``, the seconds for which their host wants rest.

    Those that were never asked for, and those whose status may change at another time, after ``retries`` more tries at
    most. Of those that this run asked for (in shards from ``first``) none whose host wants more than ``most_wait`` s.
    """
    waits = F.when(F.col("number") >= first, F.col("retry_after")).alias("waits")
    known = tried.select("image_id", "status", "tries", waits)
    again = F.col("status").rlike(RETRIABLE) & (F.col("tries") <= retries)
    patient = F.coalesce("waits", F.lit(0)) <= most_wait
    joined = asked.join(known, "image_id", "left")
    return joined.where(F.col("tries").isNull() | (again & patient)).select("image_id", "url", "waits")


def longest_wait(images: DataFrame) -> int:
    """The most seconds for which a host of the images wants rest."""
    return images.agg(F.max("waits")).first()[0] or 0


def outcomes(asked: DataFrame, tried: DataFrame) -> DataFrame:
    """The table ``images``: what came of the images that are asked for."""
    return tried.join(asked.select("image_id"), "image_id", "left_semi").select(*IMAGES.names)


def named_tars(images: DataFrame) -> list[str]:
    """The tars that the table ``images`` names."""
    return images.where("shard is not null").select("shard").distinct().toArrow()["shard"].to_pylist()


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
