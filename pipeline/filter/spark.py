"""Filtering as DataFrames: reasons for which a pair or an image is dropped, hashes of images, duplicates."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkFiles
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from pipeline.errors import UsageError
from pipeline.filter.columns import columns_of, rows_of
from pipeline.filter.duplicates.near import Known
from pipeline.filter.duplicates.spark import drop
from pipeline.filter.hashes import facts
from pipeline.filter.options import Filter
from pipeline.filter.texts import KnownTexts
from pipeline.language.codes import found_lists
from pipeline.match.engine import match_by_list
from pipeline.match.spacing import KANA, UNSPACED_SCRIPTS
from pipeline.shards.content import MISSING, Content, loaded
from pipeline.tars.spark import PLACE

SIDES = ("original_width", "original_height")
FACTS = "sha256 string, pixels string, phash bigint, width int, height int"


def by_place(pairs: DataFrame) -> DataFrame:
    """Drops the pairs whose image was not fetched, by its status, or is in no tar."""
    missing = F.when(F.col("status").isNull(), F.lit(MISSING)).when(F.col("status") != "success", F.col("status"))
    return pairs.withColumn("dropped", missing)


def with_columns(pairs: DataFrame, where: str, files: list[tuple[str, int, int]]) -> DataFrame:
    """Adds the columns of Parquet files by ``key``, as ``score`` and ``moderate`` write them; ``where`` they are."""
    columns = read_files(pairs.sparkSession, where, [path for path, _, _ in files])
    if "key" not in columns.columns or (twice := sorted(set(columns.columns) - {"key"} & set(pairs.columns))):
        wrong = f"has {twice[0]!r}, which pairs have" if "key" in columns.columns else "has no column key"
        raise UsageError(f"filter.columns: {where}: {wrong}")
    key = F.lower(F.lpad(F.hex("pair_id"), 16, "0"))
    scored = columns.dropDuplicates(["key"]).withColumnRenamed("key", "scored_key")
    return pairs.withColumn("scored_key", key).join(scored, "scored_key", "left").drop("scored_key")


def read_files(spark: SparkSession, where: str, files: list[str]) -> DataFrame:
    """The rows of Parquet files, which the tasks read with Arrow."""
    try:
        schema = from_arrow_schema(columns_of(files))
    except (OSError, pa.ArrowException, PySparkException) as error:
        raise UsageError(f"filter.columns: {where}: {str(error).splitlines()[0]}") from None
    columns = to_arrow_schema(schema)

    def read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.column("file").to_pylist():
                yield from rows_of(file, columns)

    tasks = min(len(files), 4 * spark.sparkContext.defaultParallelism)
    listed = spark.createDataFrame(list(enumerate(files)), "number int, file string")
    return listed.repartitionById(tasks, F.col("number") % tasks).select("file").mapInArrow(read_batches, schema)


def by_condition(pairs: DataFrame, where: str) -> DataFrame:
    """Drops what a condition in SQL leaves out: ``filtered``, or ``not_scored`` where it cannot be told."""
    try:
        holds = F.expr(where).cast("boolean")
        return pairs.withColumn("holds", holds).transform(
            drop, {"not_scored": F.col("holds").isNull(), "filtered": ~F.col("holds")}
        )
    except (AnalysisException, ParseException) as error:
        raise UsageError(f"filter.where: {where!r}: {str(error).splitlines()[0]}") from None


def by_text(pairs: DataFrame, options: Filter) -> DataFrame:
    """Drops texts of too few words or characters; in scripts without spaces a word is two characters, as in dedupe."""
    words = F.size(F.array_remove(F.split(F.trim("text"), r"\s+"), ""))
    letters = F.char_length(F.regexp_replace("text", r"\s", ""))
    unspaced = F.char_length(F.regexp_replace("text", f"[^{UNSPACED_SCRIPTS}{KANA}]", ""))
    pairs_of_letters = F.when(2 * unspaced > letters, letters / 2).otherwise(0)
    return pairs.transform(
        drop,
        {
            "few_words": F.greatest(words, pairs_of_letters) < options.min_words,
            "few_characters": F.char_length(F.trim("text")) < options.min_characters,
        },
    )


def by_frequency(pairs: DataFrame, pool: DataFrame, options: Filter) -> DataFrame:
    """Drops images with more texts, and texts with more images, than allowed in the whole pool (ALIGN, section 3)."""
    for key, most, reason in (
        ("image_id", options.texts_per_image, "many_texts"),
        ("text", options.images_per_text, "many_images"),
    ):
        if most is not None:
            frequent = pool.groupBy(key).count().where(F.col("count") > most).select(key, F.lit(True).alias("frequent"))
            pairs = pairs.join(frequent, key, "left").transform(drop, {reason: F.col("frequent").isNotNull()})
            pairs = pairs.drop("frequent")
    return pairs


def by_blocklist(pairs: DataFrame, files: dict[str, str]) -> DataFrame:
    """Drops the lower-cased texts that match an entry of the block-list of their language, or else of ``other``.

    ``files``: for each list the name, among the session's files, of its saved matcher.
    """

    def block_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        here = {name: SparkFiles.get(file) for name, file in files.items()}
        for batch in batches:
            chosen = found_lists(batch.column("language"), files)
            found = match_by_list(pc.utf8_lower(batch.column("text")), chosen, "fast", here)
            blocked = pc.fill_null(pc.greater(pc.list_value_length(found), 0), False)
            yield pa.RecordBatch.from_arrays([batch.column("pair_id"), blocked], ["pair_id", "blocked"])

    blocked = pairs.select("pair_id", "language", "text").mapInArrow(block_batches, "pair_id bigint, blocked boolean")
    joined = pairs.join(blocked.where("blocked"), "pair_id", "left")
    return joined.transform(drop, {"blocked_text": F.col("blocked").isNotNull()}).drop("blocked")


def near_texts(pairs: DataFrame, known: dict[str, KnownTexts]) -> DataFrame:
    """The pairs whose text is near one of an evaluation set: pair_id, and the names of the sets."""
    sent = pairs.sparkSession.sparkContext.broadcast(known)

    def compare_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            near = {name: texts.near(batch.column("text")) for name, texts in sent.value.items()}
            sets = _names_of(near, batch.num_rows)
            yield pa.RecordBatch.from_arrays([batch.column("pair_id"), sets], ["pair_id", "sets"])

    compared = (
        pairs.where("dropped is null")
        .select("pair_id", "text")
        .mapInArrow(compare_batches, "pair_id bigint, sets array<string>")
    )
    return compared.where(F.size("sets") > 0)


def _names_of(near: dict[str, np.ndarray], rows: int) -> pa.Array:
    """The names that hold for each row."""
    return pa.array([[name for name in near if near[name][row]] for row in range(rows)], pa.list_(pa.string()))


def by_evaluation_texts(pairs: DataFrame, near: DataFrame) -> DataFrame:
    """Drops the pairs of ``near_texts``."""
    return pairs.join(near, "pair_id", "left").transform(drop, {"evaluation_text": F.col("sets").isNotNull()})


def counted_by_set(rows: DataFrame) -> dict[str, int]:
    """The number of rows for each name in ``sets``."""
    counted = rows.select(F.explode("sets").alias("name")).groupBy("name").count().toArrow().to_pylist()
    return {line["name"]: line["count"] for line in sorted(counted, key=lambda line: line["name"])}


def to_look_at(pairs: DataFrame) -> DataFrame:
    """A row for each image of the pairs that are left, with its place, those of a tar in order."""
    left = pairs.where("dropped is null").select("image_key", "image_id", "url", "tar", *PLACE)
    left = left.dropDuplicates(["image_key"])
    return left.repartition("tar", F.when(F.col("tar").isNull(), F.col("image_key"))).sortWithinPartitions(
        "tar", "image_offset"
    )


def seen(images: DataFrame) -> DataFrame:
    """The table ``image_hashes``: hashes in hex, and why an image was dropped."""
    hexed = {name: F.lower(F.lpad(F.hex(name), 16, "0")).alias(name) for name in ("phash", "cluster")}
    names = ("image_id", "image_key", "dropped", "sha256", "original_sha256", "pixels", "phash", "cluster", "width",
             "height", *SIDES)  # fmt: skip
    return images.select(*(hexed.get(name, name) for name in names))


def by_images(pairs: DataFrame, images: DataFrame, columns: list[str]) -> DataFrame:
    """Drops the pairs whose image is dropped; the ``columns`` and ``dropped``."""
    joined = pairs.join(images.select("image_key", F.col("dropped").alias("why")), "image_key", "left")
    return joined.withColumn("dropped", F.coalesce("dropped", "why")).select(*columns, "dropped")


def image_facts(images: DataFrame, content: Content, most_pixels: int, at_a_time: int = 1) -> DataFrame:
    """Adds the ``facts`` of each row's image, or ``dropped``: why there are none; reads so many ``at_a_time``."""
    names = [part.split(" ")[0] for part in FACTS.split(", ")]

    def look_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, 1000):
                part = batch.slice(start, 1000)
                found = [_look(read, most_pixels) for _, read in loaded(part.to_pylist(), content, at_a_time)]
                columns = {name: [row.get(name) for row in found] for name in ("dropped", *names)}
                table = pa.table({**{n: part.column(n) for n in part.schema.names}, **columns})
                yield from table.cast(pa.schema([*part.schema, *FACT_FIELDS])).to_batches()

    schema = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in images.schema)
    return images.mapInArrow(look_batches, f"{schema}, dropped string, {FACTS}")


FACT_FIELDS = [
    pa.field("dropped", pa.string()),
    pa.field("sha256", pa.string()),
    pa.field("pixels", pa.string()),
    pa.field("phash", pa.int64()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
]


def _look(read: bytes | str, most_pixels: int) -> dict[str, Any]:
    found = read if isinstance(read, str) else facts(read, most_pixels)
    return {"dropped": found} if isinstance(found, str) else found


def by_size(images: DataFrame, options: Filter) -> DataFrame:
    """Drops images with a short side or a long shape, by their original size where it is known."""
    width, height = (F.coalesce(F.col(f"original_{side}"), F.col(side)) for side in ("width", "height"))
    shape = F.greatest(width, height) / F.least(width, height)
    reasons = {"too_small": F.least(width, height) < options.min_side}
    if options.max_aspect is not None:
        reasons["aspect_too_large"] = shape >= options.max_aspect
    return images.transform(drop, reasons)


def by_evaluation_images(images: DataFrame, known: dict[str, tuple[Known, set[str]]]) -> DataFrame:
    """Drops images near those of an evaluation set, or of the same bytes, and adds the names of the ``sets``.

    The bytes are those at hand, or those of the original before it was resized, where its SHA-256 is known.
    """
    sent = images.sparkSession.sparkContext.broadcast(known)

    def compare_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            seen = batch.column("phash").is_valid().to_numpy(zero_copy_only=False)
            hashes = batch.column("phash").fill_null(0).to_numpy()
            digests = [batch.column(name) for name in ("sha256", "original_sha256")]
            near = {
                name: seen & (hashed.near(hashes) | _among(digests[0], given) | _among(digests[1], given))
                for name, (hashed, given) in sent.value.items()
            }
            yield pa.RecordBatch.from_arrays(
                [batch.column("image_key"), _names_of(near, batch.num_rows)], ["image_key", "sets"]
            )

    compared = images.select("image_key", "phash", "sha256", "original_sha256").mapInArrow(
        compare_batches, "image_key string, sets array<string>"
    )
    joined = images.join(compared.where(F.size("sets") > 0), "image_key", "left")
    return joined.transform(drop, {"evaluation_image": F.col("sets").isNotNull()})


def _among(digests: pa.Array, given: set[str]) -> np.ndarray:
    """Whether each digest is one of those that are given."""
    found = pc.is_in(digests, value_set=pa.array(sorted(given), pa.string()))
    return found.to_numpy(zero_copy_only=False)


def hash_images(spark: SparkSession, files: list[tuple], content: Content, most_pixels: int) -> pa.Table:
    """The facts of evaluation images: ``files`` are rows of set, tar (or image file), image_offset, image_size."""
    listed = spark.createDataFrame(files, "evaluation string, tar string, image_offset bigint, image_size bigint")
    spread = listed.repartition(max(1, min(1000, -(-len(files) // 200))))
    return spread.transform(image_facts, content, most_pixels).select("evaluation", "dropped", "phash").toArrow()
