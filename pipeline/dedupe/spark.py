"""The table ``clusters`` as a DataFrame: sketch, find candidates, verify, connect, choose what stays.

Equal texts are joined by a hash of the text first, so that a boilerplate text repeated a million times costs a million
edges to one of them and no quadratic number; only one of each text goes into the bands. A band bucket of more than
``LARGE_BUCKET`` distinct texts links each of them to the smallest alone, which loses pairs that are near each other and
not near that one, unless another band holds them.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import xxhash
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from pipeline.dedupe.shingles import are_near, long_enough, normalise
from pipeline.dedupe.signatures import band_hashes, bands_and_rows, signatures
from pipeline.recipe import Dedupe
from pipeline.tables import CLUSTERS

LARGE_BUCKET = 64
Cut = Callable[[DataFrame, str], DataFrame]


def clusters(matched: DataFrame, options: Dedupe, cut: Cut) -> DataFrame:
    """The clusters of two or more near-duplicate texts, as the table ``clusters``.

    ``cut(rows, name)`` writes a DataFrame and returns it read back: each round of the connection starts from there.
    """
    sketches = cut(matched.transform(sketch, options), "sketches")
    heads = sketches.groupBy("digest").agg(
        F.min("pair_id").alias("head"), F.any_value("bands").alias("bands"), F.any_value("normal").alias("normal")
    )
    heads = cut(heads, "heads")
    equal = sketches.join(heads.select("digest", "head"), "digest").where("pair_id != head")
    near = candidates(heads).transform(verify, heads, options)
    edges = equal.select(F.col("head").alias("a"), F.col("pair_id").alias("b")).union(near)
    return connect(edges, cut).transform(keep_smallest, options.keep_per_cluster)


def sketch(matched: DataFrame, options: Dedupe) -> DataFrame:
    """For each text long enough: pair_id, a digest of text and scope, its band hashes, the normalised text."""
    bands, rows = bands_and_rows(options.threshold, options.permutations)

    def sketch_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield sketch_batch(batch, options, bands, rows)

    scope = F.col("image_id") if options.scope == "image" else F.lit("")
    return matched.select("pair_id", "text", scope.alias("scope")).mapInArrow(
        sketch_batches, "pair_id bigint, digest binary, bands array<bigint>, normal string"
    )


def sketch_batch(batch: pa.RecordBatch, options: Dedupe, bands: int, rows: int) -> pa.RecordBatch:
    """The sketches of a batch of (pair_id, text, scope)."""
    normal = [normalise(text) for text in batch.column("text").to_pylist()]
    where = [i for i, text in enumerate(normal) if long_enough(text, options.min_words)]
    texts = [normal[i] for i in where]
    scopes = [scope.encode() for scope in batch.column("scope").take(pa.array(where, pa.int64())).to_pylist()]
    signature = signatures(pa.array(texts, pa.string()), options.permutations, options.shingle)
    scope_hashes = np.array([xxhash.xxh64_intdigest(scope) for scope in scopes], np.uint64)
    hashes = band_hashes(signature, bands, rows, scope_hashes)
    offsets = pa.array(np.arange(0, hashes.size + 1, bands, dtype=np.int32))
    digests = [xxhash.xxh3_128_digest(scope + b"\0" + text.encode()) for scope, text in zip(scopes, texts, strict=True)]
    return pa.record_batch(
        {
            "pair_id": batch.column("pair_id").take(pa.array(where, pa.int64())),
            "digest": pa.array(digests, pa.binary()),
            "bands": pa.ListArray.from_arrays(offsets, pa.array(hashes.ravel())),
            "normal": pa.array(texts, pa.string()),
        }
    )


def candidates(heads: DataFrame) -> DataFrame:
    """The distinct pairs (a, b), a < b, of texts that share a band; in a large bucket, those with its smallest."""
    bands = heads.select(F.col("head").alias("id"), F.explode("bands").alias("band"))
    buckets = bands.groupBy("band").agg(F.min("id").alias("smallest"), F.count("*").alias("texts")).where("texts > 1")
    members = bands.join(buckets, "band")
    star = members.where("id != smallest").select(F.col("smallest").alias("a"), F.col("id").alias("b"))
    small = members.where(f"texts between 3 and {LARGE_BUCKET} and id != smallest").select("band", "id")
    pairs = small.alias("x").join(small.alias("y"), "band").where("x.id < y.id")
    return star.union(pairs.select(F.col("x.id").alias("a"), F.col("y.id").alias("b"))).distinct()


def verify(pairs: DataFrame, heads: DataFrame, options: Dedupe) -> DataFrame:
    """Those of the candidate pairs (a, b) whose true Jaccard similarity reaches the threshold."""
    shingle, threshold = options.shingle, options.threshold

    def verify_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            near = are_near(batch.column("left"), batch.column("right"), shingle, threshold)
            yield batch.select(["a", "b"]).filter(pa.array(near))

    left = heads.select(F.col("head").alias("a"), F.col("normal").alias("left"))
    right = heads.select(F.col("head").alias("b"), F.col("normal").alias("right"))
    texts = pairs.join(left, "a").join(right, "b").select("a", "b", "left", "right")
    return texts.mapInArrow(verify_batches, "a bigint, b bigint")


def connect(edges: DataFrame, cut: Cut) -> DataFrame:
    """The connected components of the edges (a, b): (pair_id, cluster_id), cluster_id the smallest id of the component.

    Alternates large-star and small-star (Kiveris et al. 2014, "Connected Components in MapReduce and Beyond") until a
    round changes nothing; every edge then leads to the smallest id.
    """
    edges = cut(
        edges.select(F.greatest("a", "b").alias("u"), F.least("a", "b").alias("v")).where("u != v").distinct(), "edges"
    )
    before = None
    for turn in range(64):
        edges = cut(edges.transform(large_star).transform(small_star), f"edges-{turn % 2}")
        # An order-free fingerprint of the set of edges: its size and two sums of hashes.
        now = edges.agg(
            F.count("*"), F.sum(F.xxhash64("u", "v") % (1 << 40)), F.sum(F.xxhash64("v", "u") % (1 << 40))
        ).first()
        if now == before:
            break
        before = now
    roots = edges.select(F.col("v").alias("pair_id"), F.col("v").alias("cluster_id")).distinct()
    return edges.select(F.col("u").alias("pair_id"), F.col("v").alias("cluster_id")).union(roots)


def large_star(edges: DataFrame) -> DataFrame:
    """Links the neighbours of each node that are larger than it to the smallest of node and neighbours; u > v."""
    both = edges.union(edges.select(F.col("v").alias("u"), F.col("u").alias("v")))
    least = both.groupBy("u").agg(F.least(F.min("v"), F.col("u")).alias("least"))
    linked = both.join(least, "u").where("v > u").select(F.col("v").alias("u"), F.col("least").alias("v"))
    return linked.distinct()


def small_star(edges: DataFrame) -> DataFrame:
    """Links each node and its smaller neighbours to the smallest of those; u > v."""
    least = edges.groupBy("u").agg(F.min("v").alias("least"))
    linked = edges.join(least, "u").select(F.col("v").alias("u"), F.col("least").alias("v"))
    return linked.union(least.select("u", F.col("least").alias("v"))).where("u != v").distinct()


def keep_smallest(members: DataFrame, keep: int) -> DataFrame:
    """Adds ``kept``: true for the ``keep`` smallest pair_ids of each cluster."""
    place = F.row_number().over(Window.partitionBy("cluster_id").orderBy("pair_id"))
    return members.withColumn("kept", place <= keep).select(*CLUSTERS.names)


def no_clusters(spark: SparkSession) -> DataFrame:
    """The empty table, for the scope ``none``."""
    return spark.createDataFrame([], CLUSTERS).coalesce(1)


def removed_rows(matched: DataFrame, clusters: DataFrame) -> DataFrame:
    """The matched pairs that are near-duplicates of those that stay."""
    return matched.join(clusters.where("not kept").select("pair_id"), "pair_id", "left_semi")


def remaining(matched: DataFrame, clusters: DataFrame) -> int:
    """The number of matched pairs that stay."""
    return matched.select("pair_id").join(clusters.where("not kept").select("pair_id"), "pair_id", "left_anti").count()


def removed_by_words(removed: DataFrame) -> dict[str, int]:
    """The removed pairs by the number of words in their text: 1 to 9 each, then by tens (``10-19``), then ``100+``."""
    words = F.size(F.split(F.trim("text"), r"\s+"))
    tens = F.concat(
        (F.floor(words / 10) * 10).cast("string"), F.lit("-"), (F.floor(words / 10) * 10 + 9).cast("string")
    )
    group = F.when(words < 10, words.cast("string")).when(words < 100, tens).otherwise(F.lit("100+"))
    counted = removed.groupBy(group.alias("words")).count().toArrow().to_pylist()
    return {
        line["words"]: line["count"]
        for line in sorted(counted, key=lambda line: int(line["words"].rstrip("+").split("-")[0]))
    }


def entries_of(removed: DataFrame, most: int) -> list[tuple[str, int, int]]:
    """The entries that the removed pairs match most often: (entry_list, entry_id, pairs), the most frequent first."""
    counted = (
        removed.select("entry_list", F.explode("entries").alias("entry_id")).groupBy("entry_list", "entry_id").count()
    )
    top = counted.orderBy(F.desc("count"), "entry_list", "entry_id").limit(most).toArrow().to_pylist()
    return [(line["entry_list"], line["entry_id"], line["count"]) for line in top]
