"""Semantic duplicates as DataFrames: a pass that finds the cluster of each vector, then a task for each cluster.

Centroids come from a sample, on the driver. What a task holds are the vectors of its largest cluster.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.filter.duplicates.spark import drop
from pipeline.filter.options import Semantic
from pipeline.filter.semantic.kmeans import nearest
from pipeline.filter.semantic.near import in_order, near_earlier
from pipeline.filter.semantic.vectors import VECTOR, as_matrix, vectors_of
from pipeline.filter.spark import KEYS

JUDGED = "pair_id bigint, near boolean"
PLACED = "pair_id bigint, cluster int, centre float, vector binary"


def read_vectors(spark: SparkSession, files: list[str], name: str) -> DataFrame:
    """The vectors of files by ``name``; of several by one name the one whose bytes are smallest."""

    def read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file in batch.column("file").to_pylist():
                yield from vectors_of(file, name)

    tasks = min(len(files), 4 * spark.sparkContext.defaultParallelism)
    listed = spark.createDataFrame(list(enumerate(files)), "number int, file string")
    spread = listed.repartitionById(tasks, F.col("number") % tasks).select("file")
    found = spread.mapInArrow(read_batches, f"{name} string, {VECTOR} binary")
    return found.groupBy(name).agg(F.min(VECTOR).alias(VECTOR))


def of_pairs(vectors: DataFrame, pairs: DataFrame, name: str) -> DataFrame:
    """The vectors of the pairs that are left: (pair_id, vector)."""
    left = pairs.where("dropped is null").select("pair_id", F.expr(KEYS[name]).alias(name))
    return left.join(vectors, name).select("pair_id", VECTOR)


def sample(vectors: DataFrame, share: float, seed: int) -> np.ndarray:
    """About a share of the vectors, by a hash of pair_id and seed, in order of pair_id."""
    chosen = F.pmod(F.xxhash64("pair_id", F.lit(seed)), F.lit(1 << 32)) < int(share * (1 << 32))
    found = vectors.where(chosen).toArrow().sort_by("pair_id")
    return as_matrix(found[VECTOR])


def placed(vectors: DataFrame, centroids: np.ndarray) -> DataFrame:
    """Adds the cluster of each vector, and its cosine with that one's centroid."""
    sent = vectors.sparkSession.sparkContext.broadcast(centroids)

    def place_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            labels, cosines = nearest(as_matrix(batch.column(VECTOR)), sent.value)
            columns = [batch.column("pair_id"), pa.array(labels), pa.array(cosines), batch.column(VECTOR)]
            yield pa.RecordBatch.from_arrays(columns, ["pair_id", "cluster", "centre", VECTOR])

    return vectors.mapInArrow(place_batches, PLACED)


def judged(vectors: DataFrame, options: Semantic) -> DataFrame:
    """Whether each placed vector is near one of its cluster that comes before it."""
    threshold, keep = options.threshold, options.keep

    def judge(cluster: pa.Table) -> pa.Table:
        ids = cluster["pair_id"].to_numpy()
        order = in_order(cluster["centre"].to_numpy(), ids, keep)
        near = near_earlier(as_matrix(cluster[VECTOR])[order], threshold)
        return pa.table({"pair_id": ids[order], "near": near})

    return vectors.groupBy("cluster").applyInArrow(judge, JUDGED)


def by_semantic(pairs: DataFrame, found: DataFrame) -> DataFrame:
    """Drops the pairs that are near one that stays or comes before, and those that have no vector."""
    reasons = {"not_embedded": F.col("near").isNull(), "semantic_duplicate": F.col("near")}
    return pairs.join(found, "pair_id", "left").transform(drop, reasons).drop("near")
