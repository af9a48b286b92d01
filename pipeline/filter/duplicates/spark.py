"""Duplicate images as DataFrames: the first of each group stays.

Near ones cost one shuffle of a row for each mask and distinct hash (24 bytes), and the connection of what is near.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from pipeline.buckets.spark import map_batches
from pipeline.components.spark import EDGE, Cut, connect, edge_batch
from pipeline.filter.duplicates.near import masks, near_pairs
from pipeline.filter.options import Filter


def drop(pairs: DataFrame, reasons: dict[str, Column]) -> DataFrame:
    """Sets ``dropped`` to the first reason whose condition holds, for the rows that have none yet."""
    chosen = F.col("dropped") if "dropped" in pairs.columns else F.lit(None).cast("string")
    for reason, condition in reasons.items():
        chosen = F.when(chosen.isNull() & condition, F.lit(reason)).otherwise(chosen)
    return pairs.withColumn("dropped", chosen)


def by_duplicates(images: DataFrame, options: Filter, cut: Cut) -> DataFrame:
    """Drops all but ``keep_per_cluster`` images (of smallest image_id) of those that are the same or near.

    ``same_bytes``, ``same_pixels``; ``near_image``: of a connected component of perceptual hashes within
    ``near_duplicates`` bits. Adds ``cluster``, the smallest hash of the component.
    """
    if options.exact_duplicates:
        images = images.transform(_keep_first, "sha256", "same_bytes", options.keep_per_cluster)
        images = images.transform(_keep_first, "pixels", "same_pixels", options.keep_per_cluster)
    if options.near_duplicates is None:
        return images.withColumn("cluster", F.lit(None).cast("bigint"))
    images = cut(images, "exact")
    clusters = hash_clusters(images.where("dropped is null").select("phash"), options.near_duplicates, cut)
    joined = images.join(clusters, "phash", "left").withColumn("cluster", F.coalesce("cluster", "phash"))
    return joined.transform(_keep_first, "cluster", "near_image", options.keep_per_cluster)


def _keep_first(images: DataFrame, key: str, reason: str, keep: int) -> DataFrame:
    """Of the images of one ``key`` that are not dropped yet, drops all after the first ``keep`` (by image_id)."""
    alive = F.col("dropped").isNull()
    # Each image that is dropped already is a group of its own, so that no task gets them all.
    group = F.when(alive, F.col(key).cast("string")).otherwise(F.col("image_key"))
    place = F.dense_rank().over(Window.partitionBy("group").orderBy("image_id"))
    placed = images.withColumn("group", group).withColumn("place", place)
    return placed.transform(drop, {reason: F.col("place") > keep}).drop("group", "place")


def hash_clusters(hashes: DataFrame, distance: int, cut: Cut) -> DataFrame:
    """The components of two or more distinct perceptual hashes (``phash``) within a distance: phash, cluster."""
    distinct = cut(hashes.distinct(), "hashes")
    edges = distinct.transform(near_hashes, distance, distinct.count())
    return connect(edges, cut).select(F.col("pair_id").alias("phash"), F.col("cluster_id").alias("cluster"))


def near_hashes(hashes: DataFrame, distance: int, count: int) -> DataFrame:
    """The pairs (a, b) of distinct hashes within 1 to ``distance`` bits: joined on masks, compared in the tasks."""
    joined = masks(distance, count)

    def compare_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = pa.table({"mask": pa.array([], pa.int32()), "masked": pa.array([], pa.int64()),
                         "phash": pa.array([], pa.int64())})  # fmt: skip
        for batch in batches:
            held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(held.schema)])
            keys = _keys(held)
            ready = int(np.flatnonzero(keys != keys[-1])[-1]) + 1 if (keys != keys[-1]).any() else 0
            yield _compared(held[:ready], distance)
            held = held[ready:]
        yield _compared(held, distance)

    masked = [
        F.struct(F.lit(i).alias("mask"), F.col("phash").bitwiseAND(F.lit(int(bits.view(np.int64)))).alias("masked"))
        for i, bits in enumerate(joined)
    ]
    keyed = hashes.select(F.inline(F.array(*masked)), "phash").repartition("mask", "masked")
    return map_batches(keyed.sortWithinPartitions("mask", "masked"), compare_batches, EDGE)


def _keys(rows: pa.Table) -> np.ndarray:
    """A number for each run of equal (mask, masked) of sorted rows."""
    mask, masked = rows["mask"].to_numpy(), rows["masked"].to_numpy()
    return np.cumsum(np.concatenate([[True], (mask[1:] != mask[:-1]) | (masked[1:] != masked[:-1])]))


def _compared(rows: pa.Table, distance: int) -> pa.RecordBatch:
    hashes = rows["phash"].to_numpy().astype(np.int64)
    return edge_batch(*near_pairs(_keys(rows)[: len(hashes)], hashes, distance))
