"""Balancing as DataFrames: survivors of de-duplication, entry counts, one text an image, the draw and the cap.

What depends on entries (counts, probabilities, cut-offs) is a NumPy array on the driver and reaches the tasks as a
broadcast; what depends on pairs never leaves the tasks.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.balance.cap import BINS, Cutoffs, kept_rows, keys, sum_histograms
from pipeline.balance.counts import WEIGHT_UNIT, EntryCounter, ListCounts, flat_ids
from pipeline.balance.size import keep_sums
from pipeline.balance.thresholds import keep_probability
from pipeline.tables import DOUBLE, STRING, extended

OTHER_TEXT, NOT_DRAWN, OVER_CAP = "other_text_of_image", "not_drawn", "over_cap"


def survivors(matched: DataFrame, clusters: DataFrame) -> DataFrame:
    """The matched pairs less the near-duplicates that de-duplication removed."""
    return matched.join(clusters.where("not kept").select("pair_id"), "pair_id", "left_anti")


def count_entries(rows: DataFrame, sizes: dict[str, int]) -> ListCounts:
    """The counts of all entries over the rows (entry_list, entries); ``sizes``: the number of entries of each list.

    Rows with a column ``weight`` count for so many parts of ``WEIGHT_UNIT``.
    """
    weight = ["weight"] if "weight" in rows.columns else []

    def count_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counter = EntryCounter(sizes)
        for batch in batches:
            weights = batch.column("weight").to_numpy() if weight else None
            counter.add(batch.column("entry_list"), batch.column("entries"), weights)
        yield counter.result()

    counted = rows.select("entry_list", "entries", *weight).mapInArrow(
        count_batches, "entry_list string, entry_id int, count bigint"
    )
    sums = counted.groupBy("entry_list", "entry_id").agg(F.sum("count").alias("count"))
    return ListCounts.of(sizes, sums.toArrow())


def chosen_texts(rows: DataFrame, seed: int) -> DataFrame:
    """The pair_id of one text an image: that of smallest unsigned ``xxhash64(seed + 1, pair_id)``, ties by pair_id.

    MetaCLIP 2's random choice of one text an image, the same on every run.
    """
    hashed = F.xxhash64(F.lit(seed + 1).cast("bigint"), F.col("pair_id"))
    unsigned = hashed.bitwiseXOR(F.lit(-(2**63)).cast("bigint"))  # signed order of this is unsigned order of the hash
    choice = F.min_by("pair_id", F.struct(unsigned, F.col("pair_id")))
    return rows.groupBy("image_id").agg(choice.alias("pair_id")).select("pair_id")


def only_chosen(rows: DataFrame, chosen: DataFrame) -> DataFrame:
    """The rows whose text is the chosen one of its image."""
    return rows.join(chosen, "pair_id", "left_semi")


def weighted(survivors: DataFrame, texts: DataFrame | None) -> DataFrame:
    """The rows with ``weight``: how many pairs each stands for, being kept with ``keep_probability`` before.

    That is 1/k1 (Horvitz and Thompson's), times the number of the image's texts where one of them was chosen first:
    ``texts`` are the rows it was chosen from, or None. ``keep_probability`` becomes ``first_probability``.
    """
    share = F.col("keep_probability")
    if texts is not None:
        survivors = survivors.join(texts.groupBy("image_id").agg(F.count("*").alias("image_texts")), "image_id")
        share = share / F.col("image_texts")
    rows = survivors.withColumn("weight", F.round(F.lit(WEIGHT_UNIT) / share).cast("bigint")).drop("image_texts")
    return rows.withColumnRenamed("keep_probability", "first_probability")


def expected_sizes(rows: DataFrame, counts: ListCounts, limits: np.ndarray) -> np.ndarray:
    """The summed keep probability of the rows for each row of ``limits`` (thresholds by list), in one pass."""
    sent = rows.sparkSession.sparkContext.broadcast((counts.counts, counts.starts, limits))
    ends = np.cumsum(list(counts.sizes.values()))
    weight = ["weight"] if "weight" in rows.columns else []

    def sum_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        flat, starts, limits = sent.value
        total = np.zeros(len(limits))
        for batch in batches:
            ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), starts)
            weights = batch.column("weight").to_numpy() / WEIGHT_UNIT if weight else None
            total += keep_sums(flat, limits, ids, offsets, np.searchsorted(ends, ids, side="right"), weights)
        yield pa.record_batch({"i": pa.array(np.arange(len(limits), dtype=np.int32)), "size": pa.array(total)})

    summed = rows.select("entry_list", "entries", *weight).mapInArrow(sum_batches, "i int, size double")
    found = summed.groupBy("i").agg(F.sum("size").alias("size")).toArrow().sort_by("i")
    return found["size"].to_numpy() if found.num_rows else np.zeros(len(limits))


def cap_cutoffs(rows: DataFrame, counts: ListCounts, limits: np.ndarray) -> Cutoffs:
    """The cut-off of every entry for the hard cap, by refined histograms over the rows; ``limits``: ``t`` by entry."""
    cutoffs = Cutoffs.start(counts.counts, limits)
    while not cutoffs.done():
        sent = rows.sparkSession.sparkContext.broadcast((cutoffs, counts.starts))

        def count_batches(batches: Iterator[pa.RecordBatch], sent=sent) -> Iterator[pa.RecordBatch]:
            cutoffs, starts = sent.value
            total = np.zeros(len(cutoffs.open) * BINS, np.int64)
            for batch in batches:
                ids, high, low, _ = _matches(batch, starts)
                total += cutoffs.histogram(ids, high, low).ravel()
            cells = np.flatnonzero(total)
            yield pa.record_batch({"cell": pa.array(cells), "count": pa.array(total[cells])})

        counted = rows.select("pair_id", "entry_list", "entries", "draw").mapInArrow(
            count_batches, "cell bigint, count bigint"
        )
        sums = counted.groupBy("cell").agg(F.sum("count").alias("count")).toArrow()
        cutoffs.refine(sum_histograms(sums, len(cutoffs.open)))
    return cutoffs


def _matches(batch: pa.RecordBatch, starts: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The flat entry ids of a batch with the key of their pair for each, and the rows' offsets."""
    ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), starts)
    high, low = keys(batch.column("draw").to_numpy(), batch.column("pair_id").to_numpy())
    matches = np.diff(offsets)
    return ids, np.repeat(high, matches), np.repeat(low, matches), offsets


def choose(
    rows: DataFrame,
    mode: str,
    counts: ListCounts,
    probability: np.ndarray,
    cutoffs: Cutoffs | None,
    chosen: DataFrame | None,
) -> DataFrame:
    """The rows with ``keep_probability`` and ``dropped`` by the recipe's mode: sample, cap or none.

    ``chosen``: the pair_ids of ``chosen_texts``, for one text an image. ``keep_probability`` is null under cap.
    """
    sent = rows.sparkSession.sparkContext.broadcast((counts.starts, probability, cutoffs))
    columns = rows.columns

    def draw_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        starts, probability, cutoffs = sent.value
        for batch in batches:
            if cutoffs is not None:
                ids, high, low, offsets = _matches(batch, starts)
                kept = kept_rows(cutoffs.keeps(ids, high, low), offsets)
                keep = pa.nulls(batch.num_rows, pa.float64())
            else:
                ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), starts)
                share = keep_probability(probability, ids, offsets)
                kept = batch.column("draw").to_numpy() < share if mode == "sample" else np.ones(len(share), bool)
                keep = pa.array(share)
            reason = pc.if_else(pa.array(kept), pa.scalar(None, pa.string()), OVER_CAP if mode == "cap" else NOT_DRAWN)
            yield pa.RecordBatch.from_arrays([*batch.columns, keep, reason], [*columns, "keep_probability", "dropped"])

    schema = extended(rows.schema, keep_probability=DOUBLE, dropped=STRING)
    drawn = rows.mapInArrow(draw_batches, schema)
    if chosen is None:
        return drawn
    first = chosen.withColumn("chosen_text", F.lit(True))
    other = F.when(F.col("chosen_text").isNull(), F.lit(OTHER_TEXT)).otherwise(F.col("dropped"))
    joined = drawn.join(first, "pair_id", "left").withColumn("dropped", other)
    return joined.select(*schema.names)
