"""Balancing by tasks, a bucket each: counts, expected sizes, the cap's cut-offs, the draw, what goes into ``curated``.

What depends on entries (counts, probabilities, cut-offs) is a NumPy array on the driver and reaches the tasks as a
broadcast; what depends on pairs never leaves the tasks, but for ids where the texts of an image are told apart.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.balance.cap import BINS, Cutoffs
from pipeline.balance.counts import WEIGHT_UNIT, EntryCounter, ListCounts, flat_ids
from pipeline.balance.draw import COLUMNS, OTHER_TEXT, Draw, matches
from pipeline.balance.groups import FACTORS, Own, groups_of, places
from pipeline.balance.pool import Pool
from pipeline.balance.size import capped_sizes, keep_sums
from pipeline.buckets.files import write_bucket
from pipeline.buckets.spark import Batches, Parts, attempt, run_tasks, shuffle, totals
from pipeline.buckets.totals import RANGE, Totals

ROWS, KEPT, EXPECTED, ABOVE_FIRST = "rows", "kept", "expected", "above_first"
# Sizes that are expected are added up in whole parts of this, so that the sum does not depend on the order.
SIZE_UNIT = 1 << 26
STEPS = pa.schema({"place": pa.int64(), "step": pa.int64(), "before": pa.int64(), "exact": pa.bool_()})


def count_entries(spark: SparkSession, pool: Pool, sizes: dict[str, int]) -> ListCounts:
    """The entry counts of the pairs that may be drawn; of a weighted pool in parts of ``WEIGHT_UNIT``."""
    starts, buckets = ListCounts(sizes).starts, len(pool.pairs.paths)

    def count(bucket: int) -> Batches:
        found, counter = Totals(), EntryCounter(sizes)
        for batch in pool.candidates(bucket, buckets, ["entry_list", "entries"]):
            weights = batch.column("weight").to_numpy() if pool.weighted else None
            counter.add(batch.column("entry_list"), batch.column("entries"), weights)
        counter.add_to(found, starts)
        yield from found.blocks()

    return ListCounts.of_totals(sizes, totals(run_tasks(spark, list(range(buckets)), count), sum(sizes.values())))


def expected_sizes(
    spark: SparkSession, pool: Pool, counts: ListCounts, limits: np.ndarray, own: Own | None = None
) -> np.ndarray:
    """The summed keep probability of the pairs for each row of ``limits`` (thresholds by list), in one pass.

    ``own``: what entries have of their own beside these thresholds.
    """
    sent, buckets = spark.sparkContext.broadcast((counts.counts, counts.starts, limits, own)), len(pool.pairs.paths)
    shape = len(limits) if own is None else (len(limits), 1 << len(own.capped))
    ends = np.cumsum(list(counts.sizes.values()))

    def add(bucket: int) -> Batches:
        flat, starts, limits, own = sent.value
        found, total = Totals(), np.zeros(shape, np.int64)
        for batch in pool.candidates(bucket, buckets, ["entry_list", "entries"]):
            ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), starts)
            weights = batch.column("weight").to_numpy() / WEIGHT_UNIT if pool.weighted else None
            sums = keep_sums(flat, limits, ids, offsets, np.searchsorted(ends, ids, side="right"), weights, own)
            total += np.round(sums * SIZE_UNIT).astype(np.int64)
        found.count(np.arange(total.size), total.reshape(-1))
        yield from found.blocks()

    size = int(np.prod(shape))
    added = totals(run_tasks(spark, list(range(buckets)), add), None if own is None else size)
    sums = added.numbers(size).reshape(shape) / SIZE_UNIT
    return sums if own is None else capped_sizes(sums, own)


def count_groups(spark: SparkSession, pool: Pool, draw: Draw, own: Own) -> np.ndarray:
    """Of the pairs that are drawn, by the capped groups that they name, how many each factor keeps."""
    sent, buckets = spark.sparkContext.broadcast((draw, own.bits)), len(pool.pairs.paths)
    shape = (1 << len(own.capped), len(FACTORS))

    def count(bucket: int) -> Batches:
        (draw, bits), found = sent.value, Totals()
        for batch in pool.candidates(bucket, buckets, COLUMNS):
            drawn, share = draw.decide(batch)
            ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), draw.starts)
            place = places(batch.column("draw").to_numpy()[drawn], share[drawn])
            cells = groups_of(bits, ids, offsets)[drawn] * len(FACTORS) + place
            found.count(*np.unique(cells, return_counts=True))
        yield from found.blocks()

    size = shape[0] * shape[1]
    cells = totals(run_tasks(spark, list(range(buckets)), count), size).numbers(size)
    return np.cumsum(cells.reshape(shape), axis=1)


def count_pairs(spark: SparkSession, pool: Pool) -> int:
    """The number of pairs that may be drawn."""
    buckets = len(pool.pairs.paths)

    def count(bucket: int) -> Batches:
        found = Totals()
        found.lines[KEPT, None] = sum(batch.num_rows for batch in pool.candidates(bucket, buckets, []))
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(buckets)), count)).lines[KEPT, None]


def find_cutoffs(spark: SparkSession, pool: Pool, cutoffs: Cutoffs, starts: dict[str, int] | None) -> Cutoffs:
    """The cut-offs, found by refined histograms over the pairs; ``starts``: as in ``matches``."""
    buckets = len(pool.pairs.paths)
    while not cutoffs.done():
        sent = spark.sparkContext.broadcast((cutoffs, starts))

        def count(bucket: int, sent=sent) -> Batches:
            cutoffs, starts = sent.value
            found, place = Totals(), cutoffs.places()
            for batch in pool.candidates(bucket, buckets, COLUMNS):
                ids, high, low, _ = matches(batch, starts)
                found.count(*cutoffs.cells(place, ids, high, low))
            yield from found.blocks()

        def find_steps(_: int, parts: Parts, sent=sent) -> Batches:
            found = Totals()
            for part, tables in parts:
                for rows in tables:
                    found.add(part, rows)
            yield pa.RecordBatch.from_arrays(
                [pa.array(c) for c in sent.value[0].steps(*found.together())], schema=STEPS
            )

        ranges = -(-len(cutoffs.open) * BINS // RANGE)
        counted = shuffle(run_tasks(spark, list(range(buckets)), count), ranges, find_steps, STEPS)
        cutoffs.refine(*(column.to_numpy() for column in counted.toArrow().columns))
    return cutoffs


def count_kept(spark: SparkSession, pool: Pool, draw: Draw, of: int = 1) -> Totals:
    """Draws from one part of ``of`` of the pool: the lines count its rows, removed ones too, and what is kept."""
    sent, buckets = spark.sparkContext.broadcast(draw), of * max(1, len(pool.pairs.paths) // of)

    def count(bucket: int) -> Batches:
        draw, found = sent.value, Totals()
        found.lines[ROWS, None] = len(pool.pairs.ids(bucket, buckets))
        for batch in pool.candidates(bucket, buckets, COLUMNS):
            found.lines[KEPT, None] += int(draw.decide(batch)[0].sum())
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(0, buckets, of)), count))


def write_drawn(
    spark: SparkSession, pool: Pool, draw: Draw, sizes: dict[str, int], folder: str, files: int, schema: pa.Schema
) -> Totals:
    """Draws, and writes what is kept into ``files`` files; ``schema``: of the table.

    Counts it, too: lines of rows by reason or kept, what was expected, and the entry counts of what is kept.
    """
    sent = spark.sparkContext.broadcast(draw)
    columns = [name for name in schema.names if name != "keep_probability"]

    def write(bucket: int) -> Batches:
        draw, found, counter = sent.value, Totals(), EntryCounter(sizes)

        def rows() -> Iterator[pa.RecordBatch]:
            for batch in pool.read(bucket, files, columns):
                drawn, share = draw.decide(batch)
                chosen = _chosen(batch)
                kept = drawn & chosen
                found.lines[OTHER_TEXT, None] += int((~chosen).sum())
                found.lines[draw.reason, None] += int((chosen & ~drawn).sum())
                if share is not None:
                    found.lines[EXPECTED, None] += int(np.round(share[chosen] * SIZE_UNIT).astype(np.int64).sum())
                if pool.weighted:
                    above = share > batch.column("keep_probability").to_numpy()
                    found.lines[ABOVE_FIRST, None] += int((above & kept).sum())
                share = pa.nulls(batch.num_rows, pa.float64()) if share is None else pa.array(share)
                batch = batch.select(columns).append_column("keep_probability", share)
                if not kept.all():
                    batch = batch.filter(pa.array(kept))
                counter.add(batch.column("entry_list"), batch.column("entries"))
                yield batch

        found.lines[KEPT, None] = write_bucket(folder, bucket, attempt(), rows(), schema)
        counter.add_to(found, draw.starts)
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(files)), write), sum(sizes.values()))


def _chosen(batch: pa.RecordBatch) -> np.ndarray:
    """Whether each pair's text is one that may be drawn."""
    if "chosen" not in batch.schema.names:
        return np.ones(batch.num_rows, bool)
    return batch.column("chosen").to_numpy(zero_copy_only=False)
