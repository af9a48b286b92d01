"""The table ``pairs`` as a DataFrame: read and check, identify the language, ids, exact duplicates.

The reader runs inside tasks, one split each; ids are Spark's own ``xxhash64`` and SHA-224.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import SparkFiles
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipeline.ingest.plan import Plan
from pipeline.ingest.read import TRUNCATED, UNREADABLE, VALUES_LOST, read_split, rows_schema
from pipeline.language.identify import identify
from pipeline.language.label import label_rows
from pipeline.recipe import Input, Language
from pipeline.tables import PAIRS

# Reasons that are counted by what is in `source_uid`: a file, or a column.
FILE_REASONS = (TRUNCATED, UNREADABLE, VALUES_LOST)


def pairs(rows: DataFrame, passed: list[str]) -> DataFrame:
    """The kept and dropped rows of ``read`` as ``pairs`` with its pass-through columns and ``dropped``.

    Rows whose ``dropped`` is ``rows_read`` say in ``copies`` how many rows the reader counted.
    """
    return rows.transform(add_ids).transform(drop_repeats, passed)


def read(
    spark: SparkSession,
    plan: Plan,
    options: Input,
    language: Language,
    model_name: str | None,
    aliases: dict[str, str],
) -> DataFrame:
    """The checked rows of all splits with ``language`` and ``language_score``, one task a split.

    ``model_name``: the file name of the language model among the session's files, for ``language.identify: fasttext``.
    ``aliases``: the lists that codes of languages find (``pipeline.language.codes``).
    """
    plan_sent = spark.sparkContext.broadcast(plan)
    max_text_bytes, multiline = options.max_text_bytes, options.multiline

    def read_splits(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        plan = plan_sent.value
        for batch in batches:
            for index in batch.column(0).to_pylist():
                for rows in read_split(plan.splits[index], plan, max_text_bytes, multiline):
                    rows = with_language(rows, SparkFiles.get(model_name) if model_name else None)
                    yield label_rows(rows, language, aliases)

    schema = rows_schema(plan.passed).append(pa.field("language_score", pa.float64()))
    splits = spark.range(0, len(plan.splits), 1, len(plan.splits))
    return splits.mapInArrow(read_splits, from_arrow_schema(schema))


def with_language(rows: pa.RecordBatch, model: str | None) -> pa.RecordBatch:
    """The batch with the language of its kept rows filled in: by the model, else as it is in the input."""
    language, score = rows.column("language"), pa.nulls(rows.num_rows, pa.float64())
    if model:
        kept = pc.is_null(rows.column("dropped"))
        texts = pc.if_else(kept, rows.column("text"), None)
        language, score = identify(texts, model)
    index = rows.schema.get_field_index("language")
    return rows.set_column(index, "language", language).append_column("language_score", score)


def add_ids(rows: DataFrame) -> DataFrame:
    """Adds ``pair_id`` (XXH64 with seed 42 of url, NUL, text) and ``image_id`` (24 hex digits of the URL's SHA-224).

    Dropped rows have no ids; they are kept together by their reason.
    """
    kept = F.col("dropped").isNull()
    return rows.withColumn(
        "pair_id", F.when(kept, F.xxhash64(F.concat(F.col("url"), F.lit("\0"), F.col("text"))))
    ).withColumn("image_id", F.when(kept, F.substring(F.sha2(F.col("url"), 224), 1, 24)))


def drop_repeats(rows: DataFrame, passed: list[str]) -> DataFrame:
    """One row a pair: of rows equal in (url, text) the smallest by all columns, ``copies`` says how many there were.

    Of other content under one ``pair_id`` the smallest stays; what goes comes out as a row ``id_collision``. Dropped
    rows come out as one row a reason (and file), their number in ``copies``.
    """
    columns = [name for name in PAIRS.names if name not in ("pair_id", "copies")] + passed
    file = F.when(F.col("dropped").isin(*FILE_REASONS), F.col("source_uid"))
    kept = F.col("dropped").isNull()
    content = F.when(kept, F.struct("url", "text", *[c for c in columns if c not in ("url", "text")]))
    groups = rows.groupBy("pair_id", "dropped", file.alias("file")).agg(
        F.min(content).alias("row"),
        F.sum("copies").alias("copies"),
        # The ids agree already, so a second, independent hash tells contents apart.
        F.size(F.collect_set(F.when(kept, F.xxhash64("text", "url")))).alias("contents"),
    )
    more = F.greatest(F.col("contents") - 1, F.lit(0))
    one = F.struct(F.col("dropped"), (F.col("copies") - more).alias("copies"))
    collided = F.struct(F.lit("id_collision").alias("dropped"), more.cast("bigint").alias("copies"))
    flat = groups.withColumn("part", F.explode(F.when(more > 0, F.array(one, collided)).otherwise(F.array(one))))
    here = {name: F.col("row").getField(name) for name in columns}
    here["source_uid"] = F.coalesce(F.col("row.source_uid"), F.col("file"))
    return flat.select(
        "pair_id",
        *[here[name].alias(name) for name in columns if name in PAIRS.names],
        F.col("part.copies").alias("copies"),
        *[here[name].alias(name) for name in passed],
        F.col("part.dropped").alias("dropped"),
    )


def reasons(dropped: DataFrame) -> list[dict]:
    """The dropped rows by reason, and by file where the reason is a file's: dropped, file, copies (rows)."""
    file = F.when(F.col("dropped").isin(*FILE_REASONS), F.col("source_uid")).alias("file")
    return dropped.groupBy("dropped", file).agg(F.sum("copies").alias("copies")).toArrow().to_pylist()


def sum_copies(pairs: DataFrame) -> int:
    """The input rows that the pairs stand for."""
    return pairs.agg(F.sum("copies").alias("copies")).first()["copies"] or 0
