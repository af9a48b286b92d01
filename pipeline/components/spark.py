"""Connected components of a graph of edges (a, b) over all tasks; ids are bigints.

A task connects what it holds by union-find; what is left goes to one task, or where it is much through rounds of
large-star and small-star, of which each shuffles edges alone. On one machine it always goes to one task.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline.buckets.spark import Batches, map_batches
from pipeline.components.stars import stars
from pipeline.local.rows import Rows

# So many edges are connected in one task; more of them in rounds over all tasks.
ONE_TASK_EDGES = 4_000_000
# A task connects so many edges at a time before a round.
TASK_EDGES = 1_000_000
EDGE = pa.schema({"a": pa.int64(), "b": pa.int64()})
MEMBER = pa.schema({"pair_id": pa.int64(), "cluster_id": pa.int64()})
Cut = Callable[[DataFrame, str], DataFrame]


def edge_batch(a: np.ndarray, b: np.ndarray) -> pa.RecordBatch:
    """Edges as a batch."""
    return pa.RecordBatch.from_arrays([pa.array(a), pa.array(b)], ["a", "b"])


def connect(edges: DataFrame, cut: Cut, one_task: int = ONE_TASK_EDGES) -> DataFrame:
    """The connected components of the edges (a, b): (pair_id, cluster_id), cluster_id the smallest id of the component.

    Up to ``one_task`` edges are connected in one task. More go through rounds: each task connects what it holds, then
    large-star and small-star (Kiveris et al. 2014, "Connected Components in MapReduce and Beyond") connect the tasks',
    until a round changes nothing; every edge then leads to the smallest id.
    """
    edges = cut(edges.transform(connect_tasks), "edges")
    if isinstance(edges, Rows) or edges.count() <= one_task:
        return map_batches(edges.coalesce(1), members_of, MEMBER)
    members = settle(edges, cut).select(F.col("b").alias("pair_id"), F.col("a").alias("cluster_id"))
    return members.union(members.select(F.col("cluster_id").alias("pair_id"), "cluster_id").distinct())


def members_of(batches: Batches) -> Batches:
    """The members of the components of all edges of a task."""
    a, b = joined(list(batches))
    others, heads = stars(a, b)
    smallest = np.unique(heads)
    pairs, clusters = np.concatenate([others, smallest]), np.concatenate([heads, smallest])
    yield pa.RecordBatch.from_arrays([pa.array(pairs), pa.array(clusters)], ["pair_id", "cluster_id"])


def connect_tasks(edges: DataFrame, most: int = TASK_EDGES) -> DataFrame:
    """The edges of each task as stars: b to the smallest a that ``most`` edges at a time connect it with.

    Edges of a node to itself go.
    """

    def connect_batches(batches: Batches) -> Batches:
        held, count = [], 0
        for batch in batches:
            held.append(batch)
            count += len(batch)
            if count >= most:
                yield connected(held)
                held, count = [], 0
        yield connected(held)

    def connected(held: list[pa.RecordBatch]) -> pa.RecordBatch:
        a, b = joined(held)
        others = a != b
        return edge_batch(*reversed(stars(a[others], b[others])))

    return map_batches(edges, connect_batches, EDGE)


def joined(held: list[pa.RecordBatch]) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the edges of all batches."""
    a, b = (np.concatenate([np.empty(0, np.int64), *(e.column(c).to_numpy() for e in held)]) for c in ("a", "b"))
    return a, b


def settle(edges: DataFrame, cut: Cut) -> DataFrame:
    """The edges (a, b), a < b, after rounds of stars until each b is linked to the smallest of its component."""
    before = None
    for turn in range(64):
        edges = cut(edges.transform(large_star).transform(small_star).transform(connect_tasks), f"edges-{turn % 2}")
        # An order-free fingerprint of the set of edges: its size and two sums of hashes.
        now = edges.agg(
            F.count("*"), F.sum(F.xxhash64("a", "b") % (1 << 40)), F.sum(F.xxhash64("b", "a") % (1 << 40))
        ).first()
        if now == before:
            break
        before = now
    return edges


def large_star(edges: DataFrame) -> DataFrame:
    """Links the neighbours of each node that are larger than it to the smallest of node and neighbours; a < b."""
    both = edges.union(edges.select(F.col("b").alias("a"), F.col("a").alias("b")))
    least = both.groupBy("a").agg(F.least(F.min("b"), F.col("a")).alias("least"))
    return both.join(least, "a").where("b > a").select(F.col("least").alias("a"), "b")


def small_star(edges: DataFrame) -> DataFrame:
    """Links each node and its smaller neighbours to the smallest of those; a < b."""
    least = edges.groupBy("b").agg(F.min("a").alias("least"))
    linked = edges.join(least, "b").select(F.col("least").alias("a"), F.col("a").alias("b"))
    return linked.union(least.select(F.col("least").alias("a"), "b")).where("a != b").distinct()
