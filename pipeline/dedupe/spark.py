"""Near-duplicates by tasks: signatures of the texts of a file, candidates of a share of the bands, their comparison.

Only hashes, sketches and ids move, and the texts of one side of the candidates. A text's bands are compared within its
scope: all texts of the pool, or those of one image. Equal texts have the smallest of their ids, the head, for all of
them, so that boilerplate of a million copies costs a million edges to one of them and no quadratic number. A bucket of
more than ``LARGE_BUCKET`` heads links each of them to the smallest alone, which loses pairs that are near each other
and not near that one, unless another band holds them.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from pipeline.balance.counts import EntryCounter, ListCounts
from pipeline.buckets.blocks import BLOCKS, block, blocks, runs
from pipeline.buckets.files import Files, read_file, write_bucket
from pipeline.buckets.hashing import hashes
from pipeline.buckets.keys import among, bucket_of
from pipeline.buckets.scatter import Scatter
from pipeline.buckets.spark import Batches, Parts, attempt, fill, map_batches, new_spool, run_tasks, shuffle, totals
from pipeline.buckets.totals import Totals
from pipeline.dedupe.bands import band_hashes, bands_and_rows
from pipeline.dedupe.candidates import (
    candidate_pairs,
    digests,
    distinct_pairs,
    equal_edges,
    first_of_equal,
)
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.normal import normal_texts
from pipeline.dedupe.signatures import coefficients, signatures
from pipeline.dedupe.sketches import may_be_near, sketches
from pipeline.recipe import Dedupe
from pipeline.tables import CLUSTERS, arrow_schema

# So many rows of hashes are compared by one task.
TASK_ROWS, MOST_TASKS = 2_000_000, 16_384
SIGNED_ROWS = 1 << 13
# Spark takes at most 2 GB at once; so many bytes of texts are sent together.
SENT_BYTES = 64 << 20
# The parts of what a task gets: rows of bands and of digests; pairs to compare, and edges that are settled. Where texts
# are added: rows of bands of those that were there.
BANDS, DIGESTS, PAIRS, EDGES, OLD_BANDS = range(5)
WORDS, WHITE_SPACE = "words", r"[ \t\n\x0b\f\r]+"
# The rows for the tasks of their hashes; those of bands have all of it.
HASHED = ["hash", "id", "digest", "sketch", "shingles"]
EDGE = pa.schema({"a": pa.int64(), "b": pa.int64()})


def near_edges(spark: SparkSession, matched: Files, rows: int, options: Dedupe, spool: str) -> DataFrame:
    """The edges (a, b) of equal and of near texts: enough to connect all. ``rows``: of ``matched``."""
    bands, _ = bands_and_rows(options.threshold, options.permutations)
    tasks = min(MOST_TASKS, max(1, -(-rows * (bands + 1) // TASK_ROWS)))
    buckets = len(matched.paths)
    hashed = run_tasks(spark, list(enumerate(matched.paths)), hasher(options, tasks, spool))
    return compared(shuffle(hashed, tasks, proposer(buckets, options.threshold)), matched, options)


def compared(proposed: DataFrame, matched: Files, options: Dedupe) -> DataFrame:
    """The edges among what is proposed: those that are settled, and the candidates that are near."""
    buckets = len(matched.paths)
    with_left_text = shuffle(proposed, buckets, reader_of_left(matched))
    return shuffle(with_left_text, buckets, comparer(matched, options), EDGE)


def hasher(
    options: Dedupe, tasks: int, spool: str, part: int = BANDS, chosen: Callable | None = None,
    only: Callable | None = None,
) -> Callable:  # fmt: skip
    """What sends the bands and digests of a file's texts to the tasks of their hashes; of equal texts the first's.

    ``part``: that of the bands; ``chosen``: which of the hashes are sent, and ``only``: of which ids, by default all.
    """
    bands, rows_a_band = bands_and_rows(options.threshold, options.permutations)
    permutations, by_image = coefficients(options.permutations), options.scope == "image"

    def hash_file(item: tuple[int, str]) -> Batches:
        there = new_spool(spool)
        of_bands, of_digests = (Scatter(there, tasks, by="hash", part=one) for one in (part, DIGESTS))

        def add(rows: Scatter, *columns: np.ndarray) -> Batches:
            if chosen is not None:
                some = chosen(columns[0])
                columns = [column[some] for column in columns]
            yield from rows.add(pa.record_batch(list(columns), HASHED[: len(columns)]))

        for batch in read_file(item[1], ["pair_id", "text", *(["image_id"] if by_image else [])]):
            if only is not None:
                batch = batch.filter(pa.array(only(batch.column("pair_id").to_numpy())))
            normal, rows = normal_texts(batch.column("text"), options.min_words)
            ids = batch.column("pair_id").to_numpy()[rows]
            scopes = hashes(batch.column("image_id"))[rows] if by_image else np.zeros(len(rows), np.int64)
            high, low = digests(normal, scopes)
            first = first_of_equal(high, low)
            heads = np.flatnonzero(first == np.arange(len(first)))
            others = np.flatnonzero(first != np.arange(len(first)))
            if len(others):
                yield edges_to(item[0] % tasks, ids[first[others]], ids[others])
            yield from add(of_digests, high[heads], ids[heads], low[heads])
            for start in range(0, len(heads), SIGNED_ROWS):
                some = heads[start : start + SIGNED_ROWS]
                texts = normal.take(pa.array(some))
                signed = signatures(texts, permutations, options.shingle, options.shingle_by)
                found = band_hashes(signed, bands, rows_a_band, scopes[some]).ravel()
                of_texts = ids[some], low[some], *sketches(texts, options.shingle, options.shingle_by)
                yield from add(of_bands, found, *(np.repeat(column, bands) for column in of_texts))
        yield from of_bands.rest()
        yield from of_digests.rest()
        there.close()

    return hash_file


def proposer(buckets: int, threshold: float) -> Callable:
    """What finds the candidates and the equal texts among the rows of some hashes."""

    def propose(task: int, parts: Parts) -> Batches:
        for part, tables in parts:
            if part == EDGES:
                yield from (edges_to(task % buckets, *arrays(edges)) for edges in tables)
                continue
            hashed, ids, digest, *sketched = arrays(pa.concat_tables(tables))
            if part == DIGESTS:
                a, b = equal_edges(hashed, ids, digest)
                yield edges_to(task % buckets, a, b)
            else:
                near = may_be_near(*sketched, threshold)
                a, b = distinct_pairs(*candidate_pairs(hashed, ids, digest, near))
                yield blocks(bucket_of(a, buckets), pa.record_batch({"a": a, "b": b}), PAIRS)

    return propose


def reader_of_left(matched: Files) -> Callable:
    """What adds the text of ``a``, which is in the task's bucket, to the candidates, and sends them to ``b``'s."""

    def read(bucket: int, parts: Parts) -> Batches:
        for part, tables in parts:
            if part == EDGES:
                yield from (edges_to(bucket, *arrays(edges)) for edges in tables)
                continue
            a, b = distinct_pairs(*arrays(pa.concat_tables(tables)))
            left = texts_of(matched, bucket, a)
            order = np.argsort(b, kind="stable")
            rows = pa.table({"a": a[order], "b": b[order], "left": left.take(pa.array(order))})
            target = bucket_of(rows["b"].to_numpy(), len(matched.paths))
            sizes = pc.binary_length(rows["left"]).to_numpy().astype(np.int64)
            for start, end in zip(*runs(np.cumsum(sizes) // SENT_BYTES, 0), strict=True):
                yield blocks(target[start:end], rows.slice(start, end - start), PAIRS)

    return read


def comparer(matched: Files, options: Dedupe) -> Callable:
    """What gives the edges: the settled ones, and of the candidates those of a Jaccard of at least the threshold."""

    def compare(bucket: int, parts: Parts) -> Batches:
        for part, tables in parts:
            if part == EDGES:
                for edges in tables:
                    yield from edges.to_batches()
                continue
            pairs = pa.concat_tables(tables)
            right = texts_of(matched, bucket, pairs["b"].to_numpy())
            left = pairs["left"].combine_chunks()
            near = jaccards(left, right, options.shingle, options.shingle_by) >= options.threshold
            yield from pairs.select(["a", "b"]).filter(pa.array(near)).combine_chunks().to_batches()

    return compare


def write_clusters(members: DataFrame, matched: Files, folder: str, sizes: dict[str, int], keep: int) -> Totals:
    """Writes the clusters (pair_id, cluster_id) with ``kept`` in the buckets of ``matched``.

    Counts what was removed: lines ``(words, group)`` by the words of a text, and the entry counts, for ``ListCounts``.
    """
    buckets = len(matched.paths)
    schema, starts = arrow_schema(CLUSTERS), ListCounts(sizes).starts

    def by_cluster(batches: Batches) -> Batches:
        for batch in batches:
            yield clustered(batch, buckets)

    def choose(_: int, parts: Parts) -> Batches:
        for _, tables in parts:
            chosen = keep_smallest(pa.concat_tables(tables), keep)
            yield blocks(bucket_of(chosen["pair_id"].to_numpy(), buckets), chosen)

    def write(bucket: int, parts: Parts) -> Batches:
        found, counter = Totals(), EntryCounter(sizes)
        clusters = [pa.concat_tables(tables).sort_by("pair_id") for _, tables in parts]
        write_bucket(folder, bucket, attempt(), (rows.cast(schema) for rows in clusters), schema)
        for rows in clusters:
            removed = rows["pair_id"].filter(pc.invert(rows["kept"])).to_numpy()
            if len(removed):
                count_removed(matched, bucket, removed, found, counter)
        counter.add_to(found, starts)
        yield from found.blocks()

    there = map_batches(members, by_cluster, BLOCKS)
    found = totals(shuffle(shuffle(there, buckets, choose), buckets, write), sum(sizes.values()))
    fill(folder, buckets, schema)
    return found


def clustered(rows: pa.RecordBatch, buckets: int) -> pa.RecordBatch:
    """Rows as blocks for the tasks of their clusters."""
    clusters = rows.column("cluster_id").to_numpy()
    order = np.argsort(clusters, kind="stable")
    return blocks(bucket_of(clusters[order], buckets), rows.take(pa.array(order)))


def keep_smallest(members: pa.Table, keep: int) -> pa.Table:
    """Adds ``kept``, true for the ``keep`` smallest pair_ids of each cluster; in order of pair_id."""
    pairs, clusters = members["pair_id"].to_numpy(), members["cluster_id"].to_numpy()
    order = np.lexsort((pairs, clusters))
    starts = np.flatnonzero(np.concatenate([[True], np.diff(clusters[order]) != 0]))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = np.empty(len(order), bool)
    kept[order] = place < keep
    order = np.argsort(pairs)
    return pa.table({"pair_id": pairs[order], "cluster_id": clusters[order], "kept": kept[order]})


def count_removed(matched: Files, bucket: int, removed: np.ndarray, found: Totals, counter: EntryCounter) -> None:
    """Counts the removed pairs of a bucket by the words of their text, and their entries."""
    for batch in matched.read(bucket, len(matched.paths), ["pair_id", "text", "entry_list", "entries"]):
        gone = batch.filter(pa.array(among(batch.column("pair_id").to_numpy(), removed)))
        if gone.num_rows:
            counter.add(gone.column("entry_list"), gone.column("entries"))
            for line in pc.value_counts(words_of(gone.column("text"))).to_pylist():
                found.lines[WORDS, str(line["values"])] += line["counts"]


def words_of(texts: pa.Array) -> pa.Array:
    """The number of words of each text, between runs of white space."""
    return pc.list_value_length(pc.split_pattern_regex(pc.utf8_trim(texts, " "), WHITE_SPACE))


def texts_of(matched: Files, bucket: int, ids: np.ndarray) -> pa.Array:
    """The normalised texts of pairs of one bucket, in the order of ``ids``."""
    wanted = np.unique(ids)
    found = [pa.array([], pa.large_string())]
    for batch in matched.read(bucket, len(matched.paths), ["pair_id", "text"]):
        here = among(batch.column("pair_id").to_numpy(), wanted)
        found.append(normal_texts(batch.column("text").filter(pa.array(here)))[0])
    return pa.concat_arrays(found).take(pa.array(np.searchsorted(wanted, ids)))


def edges_to(target: int, a: np.ndarray, b: np.ndarray) -> pa.RecordBatch:
    """Edges as a block that goes along to the end."""
    return block(target, pa.record_batch({"a": a, "b": b}), EDGES)


def arrays(rows: pa.Table) -> list[np.ndarray]:
    """The columns of a table of numbers."""
    return [column.to_numpy() for column in rows.columns]
