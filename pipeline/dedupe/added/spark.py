"""Near-duplicates of new texts by tasks: only new texts are compared, with each other and with old ones.

The clusters that were there hold, as no text went, but those of texts in a bucket of bands that compares less than it
did (``changes``). The members of those are compared again, in all buckets that two of them are in. Of the other texts
those bands are sent alone whose hash a text has that is looked at.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from pipeline.buckets.blocks import BLOCKS, block, blocks, rows_of
from pipeline.buckets.files import Files, write_bucket
from pipeline.buckets.keys import among, bucket_of
from pipeline.buckets.spark import Batches, Parts, attempt, map_batches, run_tasks, shuffle, totals
from pipeline.buckets.totals import Totals
from pipeline.dedupe.added.bitmap import Bitmap
from pipeline.dedupe.added.changes import beside, loses, of_hashes
from pipeline.dedupe.bands import bands_and_rows
from pipeline.dedupe.candidates import candidate_pairs, distinct_pairs, equal_edges
from pipeline.dedupe.sketches import may_be_near
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

WENT = "went"
LOST = 5  # the part of blocks that name the texts of buckets that compare less than they did
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
) -> DataFrame:
    """The edges (a, b) that connect what is connected with ``new`` beside ``there``; ``matched``: both."""
    bands, _ = bands_and_rows(options.threshold, options.permutations)
    hashes, buckets = new.rows() * (bands + 1), len(matched.paths)
    tasks = min(MOST_TASKS, max(1, -(-4 * hashes // TASK_ROWS)))

    def hashed(files: Files, part: int, **which: Callable) -> DataFrame:
        return run_tasks(spark, list(enumerate(files.paths)), hasher(options, tasks, spool, part, **which))

    of_new = cut(hashed(new, BANDS), "new-hashes")
    held = spark.sparkContext.broadcast(bitmap_of(of_new, tasks, hashes))
    of_old = hashed(there, OLD_BANDS, chosen=lambda found: held.value.holds(found))
    proposed = cut(shuffle(of_new.union(of_old), tasks, proposer(buckets, options.threshold, loses)), "proposed")
    lost = np.unique(numbers_of(of_parts(proposed, lambda part: part == LOST)))
    if not len(lost):
        return compared(proposed, matched, options).union(stars(spark, clusters, lost))
    of, members = members_of(spark, clusters, lost)
    proposed = of_parts(proposed, lambda part: part != LOST)
    sent = spark.sparkContext.broadcast(members)
    of_members = cut(hashed(there, BANDS, only=lambda ids: among(ids, sent.value)), "member-hashes")
    again = spark.sparkContext.broadcast(bitmap_of(of_members, tasks, len(members) * (bands + 1)))
    others = [
        hashed(
            files, OLD_BANDS, chosen=lambda found: again.value.holds(found), only=lambda ids: ~among(ids, sent.value)
        )
        for files in (there, new)
    ]
    more = of_members.union(others[0]).union(others[1])
    more = shuffle(more, tasks, proposer(buckets, options.threshold, both=True))
    return compared(proposed.union(more), matched, options).union(stars(spark, clusters, of))


def of_parts(found: DataFrame, chosen: Callable[[np.ndarray], np.ndarray]) -> DataFrame:
    """The blocks of some parts."""

    def choose(batches: Batches) -> Batches:
        for batch in batches:
            yield batch.filter(pa.array(chosen(batch.column("part").to_numpy())))

    return map_batches(found, choose, BLOCKS)


def members_of(spark: SparkSession, clusters: Files, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clusters of some pairs, and all members of those clusters, ascending."""
    sent, buckets = spark.sparkContext.broadcast(ids), len(clusters.paths)

    def pick(find: str, by: str, wanted: Any) -> np.ndarray:
        def read(bucket: int) -> Batches:
            for batch in clusters.read(bucket, buckets, ["pair_id", "cluster_id"]):
                some = among(batch.column(by).to_numpy(), wanted.value)
                yield pa.record_batch({"place": batch.column(find).filter(pa.array(some))})

        return np.unique(numbers_of(run_tasks(spark, list(range(buckets)), read, PLACES)))

    of = pick("cluster_id", "pair_id", sent)
    return of, pick("pair_id", "cluster_id", spark.sparkContext.broadcast(of))


def numbers_of(found: DataFrame) -> np.ndarray:
    """The numbers that tasks gave, as they are or in blocks."""
    parts = [np.zeros(0, np.int64)]
    for batch in found.toArrow().to_batches():
        if "place" in batch.schema.names:
            parts.append(batch.column("place").to_numpy())
        else:
            parts += [rows_of(batch, row)["a"].to_numpy() for row in range(batch.num_rows)]
    return np.concatenate(parts)


def bitmap_of(hashed: DataFrame, tasks: int, count: int) -> Bitmap:
    """The hashes that were sent, as a bitmap."""
    found = Bitmap(count)

    def places(_: int, parts: Parts) -> Batches:
        for part, tables in parts:
            if part in (BANDS, DIGESTS):
                hashes = np.concatenate([rows["hash"].to_numpy() for rows in tables])
                yield pa.record_batch({"place": found.places(hashes)})

    found.add(numbers_of(shuffle(hashed, tasks, places, PLACES)))
    return found


def proposer(buckets: int, threshold: float, loses: Callable | None = None, both: bool = False) -> Callable:
    """What finds the candidates and the equal texts among the rows of some hashes.

    Rows of bands are of texts that are looked at, and of others with the same hashes. A candidate has one of the
    former, or is of two where ``both`` says so. ``loses``: says which buckets compare less than they did; their texts
    are named.
    """

    def propose(task: int, parts: Parts) -> Batches:
        none = [np.zeros(0, np.int64)] * 3 + [np.zeros(0, np.uint64), np.zeros(0, np.int32)]
        held = {BANDS: none, OLD_BANDS: none}
        for part, tables in parts:
            if part == EDGES:
                yield from (edges_to(task % buckets, *arrays(edges)) for edges in tables)
            elif part == DIGESTS:
                yield edges_to(task % buckets, *equal_edges(*arrays(pa.concat_tables(tables))))
            else:
                held[part] = arrays(pa.concat_tables(tables))
        rows, others = held[BANDS], held[OLD_BANDS]
        wanted = of_hashes(others[0], rows[0])
        others = [column[wanted] for column in others]
        if loses is not None and len(others[0]):
            shared = of_hashes(rows[0], others[0])
            lost = loses(others[:3], [column[shared] for column in rows[:3]])
            if len(lost):
                ids = others[1][of_hashes(others[0], lost)]
                yield block(0, pa.record_batch({"a": ids, "b": ids}), LOST)
        hashed, there, digest, *sketched = beside(others, rows)
        near = may_be_near(*sketched, threshold)
        a, b = distinct_pairs(*candidate_pairs(hashed, there, digest, near))
        ids = np.unique(rows[1])
        some = (np.logical_and if both else np.logical_or)(among(a, ids), among(b, ids))
        a, b = a[some], b[some]
        yield blocks(bucket_of(a, buckets), pa.record_batch({"a": a, "b": b}), PAIRS)

    return propose


def stars(spark: SparkSession, clusters: Files, but: np.ndarray) -> DataFrame:
    """Edges that connect the clusters that are there, ``but`` some: from the smallest pair of each."""
    sent, buckets = spark.sparkContext.broadcast(but), len(clusters.paths)

    def send(bucket: int) -> Batches:
        for batch in clusters.read(bucket, buckets, ["pair_id", "cluster_id"]):
            left = ~among(batch.column("cluster_id").to_numpy(), sent.value)
            yield clustered(batch.filter(pa.array(left)), buckets)

    def connect(_: int, parts: Parts) -> Batches:
        for _, tables in parts:
            ids, of = arrays(pa.concat_tables(tables).select(["pair_id", "cluster_id"]))
            order = np.lexsort((ids, of))
            ids, of = ids[order], of[order]
            first = np.concatenate([[True], np.diff(of) != 0])
            heads = ids[np.flatnonzero(first)][np.cumsum(first) - 1]
            yield pa.record_batch({"a": heads[~first], "b": ids[~first]})

    return shuffle(run_tasks(spark, list(range(buckets)), send), buckets, connect, EDGE)
