"""Where pictures are, as DataFrames: in the tars of the stage ``images``, or in tars that were there before."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.paths import split_options
from pipeline.places.index import SAMPLES, samples_of

PLACE = ("image_offset", "image_size", "original_width", "original_height")
MOST_TASKS = 4096
IN_TARS = (
    "source_uid string, tar string, image_offset bigint, image_size bigint, original_width int, original_height int, "
    "refused map<string, bigint>"
)


def with_images(curated: DataFrame, images: DataFrame, folder: str) -> DataFrame:
    """Adds what ``tar_pictures`` wants of each pair's row in ``images``; the tars are in ``folder``."""
    before, options = split_options(folder)
    tar = F.concat(F.lit(before.rstrip("/") + "/"), "shard", F.lit(options))
    places = images.select("image_id", "status", tar.alias("tar"), *PLACE)
    return curated.join(places, "image_id", "left")


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
    """Adds the same from ``scan_tars``: of the sample whose uid, or else key, is the pair's source_uid."""
    # A sample that is in several tars is taken from the first.
    known = samples.where("source_uid is not null")
    first = known.groupBy("source_uid").agg(F.min(F.struct("tar", *PLACE)).alias("place"))
    return curated.join(first.select("source_uid", "place.*", F.lit("success").alias("status")), "source_uid", "left")


def with_files(curated: DataFrame) -> DataFrame:
    """Adds the same columns, empty: the pictures are files by their URLs."""
    nothing = {name: F.lit(None).cast("int" if name.startswith("original") else "bigint") for name in PLACE}
    return curated.withColumns({"status": F.lit(None).cast("string"), "tar": F.lit(None).cast("string"), **nothing})


def refused_members(samples: DataFrame) -> dict[str, int]:
    """The members of the tars that were not looked at, by reason."""
    reasons = samples.where("refused is not null").select(F.explode("refused").alias("reason", "members"))
    counted = reasons.groupBy("reason").agg(F.sum("members").alias("members")).toArrow().to_pylist()
    return {line["reason"]: line["members"] for line in sorted(counted, key=lambda line: line["reason"])}
