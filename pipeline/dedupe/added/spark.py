"""Near-duplicates of new texts by tasks: only new texts are compared, with each other and with old ones.

The clusters that were there hold, as long as no bucket of bands compares less than it did (``changes``) and no text
went. Of the old texts those bands are sent alone whose hash some new text has.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.buckets.blocks import blocks
from pipeline.buckets.files import Files, write_bucket
from pipeline.buckets.keys import among, bucket_of
from pipeline.buckets.spark import Batches, Parts, attempt, run_tasks, shuffle, totals
from pipeline.buckets.totals import Totals
from pipeline.dedupe.added.bitmap import Bitmap
from pipeline.dedupe.added.changes import loses, of_hashes
from pipeline.dedupe.bands import bands_and_rows
from pipeline.dedupe.candidates import candidate_pairs, distinct_pairs, equal_edges
from pipeline.dedupe.spark import (
    BANDS,
    DIGESTS,
    EDGE,
    EDGES,
    MOST_TASKS,
    OLD_BANDS,
    PAIRS,
    TASK_ROWS,
    arrays,
    clustered,
    compared,
    edges_to,
    hasher,
)
from pipeline.recipe import Dedupe
from pipeline.tables import file_rows

WENT = "went"
LOST = 5  # the part of blocks that say that a bucket compares less than it did
PLACES = pa.schema({"place": pa.int64()})
Cut = Callable[[DataFrame, str], DataFrame]


def write_new(spark: SparkSession, added: Files, replaced: Files, folder: str) -> int:
    """Writes the rows of ``added`` that take no place of one in ``replaced`` into ``folder``; returns how many of
    ``replaced`` went without one in their place."""
    buckets, schema = len(added.paths), added.schema()

    def write(bucket: int) -> Batches:
        found, old = Totals(), replaced.ids(bucket, buckets)

        def rows() -> Batches:
            for batch in added.read(bucket, buckets):
                yield batch.filter(pa.array(~among(batch.column("pair_id").to_numpy(), old)))

        found.lines[WENT, None] = int((~among(old, added.ids(bucket, buckets))).sum())
        write_bucket(folder, bucket, attempt(), rows(), schema)
        yield from found.blocks()

    return totals(run_tasks(spark, list(range(buckets)), write)).lines[WENT, None]


def added_edges(
    spark: SparkSession,
    there: Files,
    new: Files,
    matched: Files,
    clusters: Files,
    options: Dedupe,
    spool: str,
    cut: Cut,
) -> DataFrame | None:
    """The edges (a, b) that connect what is connected with ``new`` beside ``there``; None where old clusters may not
    hold. ``matched``: both."""
    bands, _ = bands_and_rows(options.threshold, options.permutations)
    hashes = sum(map(file_rows, new.paths)) * (bands + 1)
    tasks, buckets = min(MOST_TASKS, max(1, -(-4 * hashes // TASK_ROWS))), len(matched.paths)
    of_new = cut(run_tasks(spark, list(enumerate(new.paths)), hasher(options, tasks, spool)), "new-hashes")
    sent = spark.sparkContext.broadcast(bitmap_of(of_new, tasks, hashes))
    chosen = hasher(options, tasks, spool, lambda found: sent.value.holds(found), OLD_BANDS)
    of_old = run_tasks(spark, list(enumerate(there.paths)), chosen)
    proposed = cut(shuffle(of_new.union(of_old), tasks, proposer(buckets)), "proposed")
    if proposed.where(F.col("part") == LOST).count():
        return None
    return compared(proposed, matched, options).union(stars(spark, clusters))


def bitmap_of(hashed: DataFrame, tasks: int, count: int) -> Bitmap:
    """The hashes that were sent, as a bitmap."""
    found = Bitmap(count)

    def places(_: int, parts: Parts) -> Batches:
        for part, tables in parts:
            if part in (BANDS, DIGESTS):
                hashes = np.concatenate([rows["hash"].to_numpy() for rows in tables])
                yield pa.record_batch({"place": np.unique(found.places(hashes))})

    for batch in shuffle(hashed, tasks, places, PLACES).toArrow().to_batches():
        found.add(batch.column("place").to_numpy())
    return found


def proposer(buckets: int) -> Callable:
    """What finds the candidates and the equal texts among the rows of some hashes, of which new texts have each."""

    def propose(task: int, parts: Parts) -> Batches:
        none = [np.zeros(0, np.int64)] * 3
        held = {BANDS: none, OLD_BANDS: none}
        for part, tables in parts:
            if part == EDGES:
                yield from (edges_to(task % buckets, *arrays(edges)) for edges in tables)
            elif part == DIGESTS:
                yield edges_to(task % buckets, *equal_edges(*arrays(pa.concat_tables(tables))))
            else:
                held[part] = arrays(pa.concat_tables(tables))
        new, old = held[BANDS], held[OLD_BANDS]
        wanted = of_hashes(old[0], new[0])
        old = [column[wanted] for column in old]
        if len(lost := loses(old, new)):
            yield blocks(np.zeros(1, np.int64), pa.record_batch({"a": lost[:1], "b": lost[:1]}), LOST)
        a, b = distinct_pairs(*candidate_pairs(*(np.concatenate(pair) for pair in zip(old, new, strict=True))))
        ids = np.unique(new[1])
        some = among(a, ids) | among(b, ids)
        a, b = a[some], b[some]
        yield blocks(bucket_of(a, buckets), pa.record_batch({"a": a, "b": b}), PAIRS)

    return propose


def stars(spark: SparkSession, clusters: Files) -> DataFrame:
    """Edges that connect the clusters that are there: from the smallest pair of each."""
    buckets = len(clusters.paths)

    def send(bucket: int) -> Batches:
        for batch in clusters.read(bucket, buckets, ["pair_id", "cluster_id"]):
            yield clustered(batch, buckets)

    def connect(_: int, parts: Parts) -> Batches:
        for _, tables in parts:
            ids, of = arrays(pa.concat_tables(tables).select(["pair_id", "cluster_id"]))
            order = np.lexsort((ids, of))
            ids, of = ids[order], of[order]
            first = np.concatenate([[True], np.diff(of) != 0])
            heads = ids[np.flatnonzero(first)][np.cumsum(first) - 1]
            yield pa.record_batch({"a": heads[~first], "b": ids[~first]})

    return shuffle(run_tasks(spark, list(range(buckets)), send), buckets, connect, EDGE)
