"""The table ``matched`` as a DataFrame: choose the list, find the entries, add the draw."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline.language.codes import OTHER
from pipeline.match.engine import match_by_list
from pipeline.tables import ENTRIES, extended

NO_LIST = "no_entry_list"
# A draw has the 53 bits of a double's fraction.
DRAW_SHIFT, DRAW_UNIT = 11, 2.0**-53


def matched(
    pairs: DataFrame, lists: list[str], files: dict[str, str], engine: str, seed: int, one_list: bool
) -> DataFrame:
    """The pairs with ``entry_list``, ``entries`` and ``draw``, and ``dropped``: ``no_entry_list`` or ``no_match``.

    ``files``: for each list the name, among the session's files, of its saved matcher. ``one_list``: there is exactly
    one list and no language (``language.identify: none``).
    """
    return (
        pairs.transform(choose_list, lists, one_list)
        .transform(find_entries, files, engine)
        .withColumn("draw", draw(seed))
        .withColumn(
            "dropped",
            F.when(F.col("entry_list").isNull(), F.lit(NO_LIST)).when(F.size("entries") == 0, F.lit("no_match")),
        )
    )


def choose_list(pairs: DataFrame, lists: list[str], one_list: bool) -> DataFrame:
    """Adds ``entry_list``: the list of the pair's language, else ``other``, else null."""
    if one_list:
        return pairs.withColumn("entry_list", F.lit(lists[0]))
    other = F.lit(OTHER if OTHER in lists else None).cast("string")
    return pairs.withColumn("entry_list", F.when(F.col("language").isin(lists), F.col("language")).otherwise(other))


def find_entries(pairs: DataFrame, files: dict[str, str], engine: str) -> DataFrame:
    """Adds ``entries``: the ids that match ``text`` in the list ``entry_list``."""
    text, entry_list = pairs.columns.index("text"), pairs.columns.index("entry_list")

    def match_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        here = {name: SparkFiles.get(file) for name, file in files.items()}
        for batch in batches:
            found = match_by_list(batch.column(text), batch.column(entry_list), engine, here)
            yield pa.RecordBatch.from_arrays([*batch.columns, found], [*batch.schema.names, "entries"])

    return pairs.mapInArrow(match_batches, extended(pairs.schema, entries=ENTRIES))


def draw(seed: int) -> Column:
    """A number in [0, 1) from the seed and ``pair_id``: 53 bits of XXH64, the same on any machine and in any order."""
    hashed = F.xxhash64(F.lit(seed).cast("bigint"), F.col("pair_id"))
    return F.shiftrightunsigned(hashed, DRAW_SHIFT).cast("double") * F.lit(DRAW_UNIT)


def without_list(dropped: DataFrame, most: int) -> dict[str, int]:
    """The languages of rows that were dropped for want of a list: the ``most`` frequent ones and their rows."""
    rows = dropped.where(F.col("dropped") == NO_LIST).groupBy("language").count()
    lines = rows.orderBy(F.desc("count"), "language").limit(most).toArrow().to_pylist()
    return {line["language"]: line["count"] for line in lines}
