"""Where images are, as DataFrames: in the tars of the stage ``images``, or in tars that were there before."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.paths import split_options
from pipeline.places.index import SAMPLES, samples_of

# Where an image is, and what is known of it as it was before it was resized.
PLACE = ("image_offset", "image_size", "original_width", "original_height", "original_sha256")
MOST_TASKS = 4096
IN_TARS = (
    "source_uid string, tar string, by_key boolean, image_offset bigint, image_size bigint, original_width int, "
    "original_height int, original_sha256 string, refused map<string, bigint>"
)
AMBIGUOUS = "ambiguous_key"


def with_images(curated: DataFrame, images: DataFrame, folder: str) -> DataFrame:
    """Adds the place of each pair's image by its row in ``images``; the tars are in ``folder``.

    ``image_key`` tells images apart: pairs of one key have one image.
    """
    images = images.withColumnRenamed("sha256", "original_sha256")
    before, options = split_options(folder)
    tar = F.concat(F.lit(before.rstrip("/") + "/"), "shard", F.lit(options)).alias("tar")
    return curated.join(images.select("image_id", "status", tar, *PLACE), "image_id", "left").transform(_by_url)


def _by_url(pairs: DataFrame) -> DataFrame:
    return pairs.withColumn("image_key", F.col("image_id"))


def scan_tars(spark: SparkSession, tars: list[str]) -> DataFrame:
    """The samples of tars that are there: a row a sample, and one a tar with what was ``refused`` in it by reason."""

    def scan_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for tar in batch.column("tar").to_pylist():
                samples, refused = samples_of(tar)
                counts = pa.array([*[None] * len(samples), list(refused.items())], pa.map_(pa.string(), pa.int64()))
                nothing = pa.Table.from_pylist([{}], SAMPLES)
                found = pa.concat_tables([samples, nothing]).append_column("refused", counts).combine_chunks()
                found = found.add_column(1, "tar", pa.array([tar] * len(found), pa.string()))
                yield from found.to_batches()

    numbered = spark.createDataFrame(list(enumerate(tars)), "number int, tar string")
    # A task takes longer to start than a small tar to read.
    tasks = min(MOST_TASKS, max(1, len(tars) // 4, min(len(tars), 4 * spark.sparkContext.defaultParallelism)))
    listed = numbered.repartitionById(tasks, F.col("number") % tasks).select("tar")
    return listed.mapInArrow(scan_batches, IN_TARS)


def with_tars(curated: DataFrame, samples: DataFrame) -> DataFrame:
    """Adds the same from ``scan_tars``: of the sample whose uid, or else key, is the pair's source_uid.

    A uid that is in several tars is one sample, taken from the first. A key without a uid names other samples in other
    tars, as every run of img2dataset counts from nought: such pairs have the status ``ambiguous_key``.
    """
    known = samples.where("source_uid is not null").groupBy("source_uid")
    first = known.agg(F.min(F.struct("tar", *PLACE)).alias("place"), _ambiguous().alias("ambiguous"))
    place = F.when(~F.col("ambiguous"), F.col("place")).alias("place")
    status = F.when(F.col("ambiguous"), AMBIGUOUS).otherwise("success").alias("status")
    placed = curated.join(first.select("source_uid", place, status), "source_uid", "left")
    # Two uids of one URL are two images, as far as anybody knows.
    key = F.when(F.col("source_uid").isNull(), F.col("image_id")).otherwise(F.concat_ws("/", "image_id", "source_uid"))
    return placed.select(*curated.columns, "status", "place.*", key.alias("image_key"))


def _ambiguous() -> Column:
    """Whether a group of samples of one source_uid is of several, told apart by nothing."""
    return (F.count("*") > 1) & F.max("by_key")


def with_files(curated: DataFrame) -> DataFrame:
    """Adds the same columns, empty: the images are files by their URLs."""
    kinds = dict.fromkeys(PLACE[:2], "bigint") | dict.fromkeys(PLACE[2:4], "int")
    nothing = {name: F.lit(None).cast(kinds.get(name, "string")) for name in ("status", "tar", *PLACE)}
    return curated.withColumns(nothing).transform(_by_url)


def refused_members(samples: DataFrame) -> dict[str, int]:
    """The members of the tars that were not looked at, by reason; and samples that repeat over the tars.

    ``repeated_uid``: those after the first of a uid; ``ambiguous_key``: all of a key that has no uid.
    """
    reasons = samples.where("refused is not null").select(F.explode("refused").alias("reason", "members"))
    groups = samples.where("source_uid is not null").groupBy("source_uid")
    repeated = groups.agg(F.count("*").alias("members"), _ambiguous().alias("ambiguous")).where("members > 1")
    reason = F.when(F.col("ambiguous"), AMBIGUOUS).otherwise("repeated_uid")
    surplus = F.when(F.col("ambiguous"), F.col("members")).otherwise(F.col("members") - 1)
    reasons = reasons.unionByName(repeated.select(reason.alias("reason"), surplus.alias("members")))
    counted = reasons.groupBy("reason").agg(F.sum("members").alias("members")).toArrow().to_pylist()
    return {line["reason"]: line["members"] for line in sorted(counted, key=lambda line: line["reason"])}
