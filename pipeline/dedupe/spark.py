"""The table ``clusters`` as a DataFrame: normalise, find candidates, verify, connect, choose what stays.

Equal texts are joined by a hash of the text first, so that a boilerplate text repeated a million times costs a million
edges to one of them and no quadratic number; only that one, the head, goes into the bands. A band bucket of more than
``LARGE_BUCKET`` heads links each of them to the smallest alone, which loses pairs that are near each other and not near
that one, unless another band holds them.

One shuffle groups equal texts, one the bands, one makes candidates distinct and two bring texts to them for the
comparison; each round of the connection takes five more, of edges alone.
"""

import numpy as np
import pyarrow as pa
import xxhash
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from pipeline.components.spark import EDGE, Batches, Cut, connect, edge_batch
from pipeline.dedupe.bands import band_hashes, bands_and_rows, bucket_pairs, open_bucket
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.shingles import long_enough, normalise
from pipeline.dedupe.signatures import signatures
from pipeline.recipe import Dedupe
from pipeline.tables import CLUSTERS


def clusters(matched: DataFrame, options: Dedupe, cut: Cut) -> DataFrame:
    """The clusters of two or more near-duplicate texts, as the table ``clusters``.

    ``cut(rows, name)`` writes a DataFrame and returns it read back: what follows starts from there.
    """
    texts = cut(matched.transform(normal_texts, options).transform(find_heads), "texts")
    equal = texts.where("pair_id != head").select(F.col("head").alias("a"), F.col("pair_id").alias("b"))
    heads = texts.where("pair_id = head").select("head", "scope", "normal")
    near = heads.transform(candidates, options).transform(verify, heads, options)
    return connect(equal.union(near), cut).transform(keep_smallest, options.keep_per_cluster)


def normal_texts(matched: DataFrame, options: Dedupe) -> DataFrame:
    """For each text long enough: pair_id, a digest of text and scope, a hash of the scope, the normalised text."""

    def normalise_batches(batches: Batches) -> Batches:
        for batch in batches:
            normal = [normalise(text) for text in batch.column("text").to_pylist()]
            where = [i for i, text in enumerate(normal) if long_enough(text, options.min_words)]
            chosen = batch.select(["pair_id", "scope"]).take(pa.array(where, pa.int64()))
            texts, scopes = [normal[i] for i in where], [s.encode() for s in chosen.column("scope").to_pylist()]
            digests = [xxhash.xxh3_128_digest(s + b"\0" + t.encode()) for s, t in zip(scopes, texts, strict=True)]
            hashes = np.array([xxhash.xxh3_64_intdigest(s) for s in scopes], np.uint64).view(np.int64)
            yield pa.RecordBatch.from_arrays(
                [
                    chosen.column("pair_id"),
                    pa.array(digests, pa.binary()),
                    pa.array(hashes),
                    pa.array(texts, pa.string()),
                ],
                ["pair_id", "digest", "scope", "normal"],
            )

    scope = F.col("image_id") if options.scope == "image" else F.lit("")
    return matched.select("pair_id", "text", scope.alias("scope")).mapInArrow(
        normalise_batches, "pair_id bigint, digest binary, scope bigint, normal string"
    )


def find_heads(texts: DataFrame) -> DataFrame:
    """Adds ``head``, the smallest pair_id of the equal texts; only a head keeps its text."""
    head = F.min("pair_id").over(Window.partitionBy("digest"))
    return texts.withColumn("head", head).select(
        "pair_id", "head", "scope", F.when(F.col("pair_id") == F.col("head"), F.col("normal")).alias("normal")
    )


def candidates(heads: DataFrame, options: Dedupe) -> DataFrame:
    """The distinct pairs (a, b), a < b, of heads that share a band; in a large bucket, those with its smallest."""
    bands, rows = bands_and_rows(options.threshold, options.permutations)

    def band_batches(batches: Batches) -> Batches:
        for batch in batches:
            signed = signatures(batch.column("normal"), options.permutations, options.shingle, options.shingle_by)
            hashes = band_hashes(signed, bands, rows, batch.column("scope").to_numpy())
            ids = np.repeat(batch.column("head").to_numpy(), bands)
            yield pa.RecordBatch.from_arrays([pa.array(hashes.ravel()), pa.array(ids)], ["band", "id"])

    def pair_batches(batches: Batches) -> Batches:
        band, ids = np.empty(0, np.int64), np.empty(0, np.int64)
        for batch in batches:
            band = np.concatenate([band, batch.column("band").to_numpy()])
            ids = np.concatenate([ids, batch.column("id").to_numpy()])
            ready, first, end = open_bucket(band)
            yield edge_batch(*bucket_pairs(band[:ready], ids[:ready]))
            band, ids = band[first:end], ids[first:end]
        yield edge_batch(*bucket_pairs(band, ids))

    banded = heads.mapInArrow(band_batches, "band bigint, id bigint").repartition("band")
    return banded.sortWithinPartitions("band", "id").mapInArrow(pair_batches, EDGE).distinct()


def verify(pairs: DataFrame, heads: DataFrame, options: Dedupe) -> DataFrame:
    """Those of the candidate pairs (a, b) whose true Jaccard similarity reaches the threshold."""

    def verify_batches(batches: Batches) -> Batches:
        for batch in batches:
            found = jaccards(batch.column("left"), batch.column("right"), options.shingle, options.shingle_by)
            yield batch.select(["a", "b"]).filter(pa.array(found >= options.threshold))

    left = heads.select(F.col("head").alias("a"), F.col("normal").alias("left"))
    right = heads.select(F.col("head").alias("b"), F.col("normal").alias("right"))
    return pairs.join(left, "a").join(right, "b").select("a", "b", "left", "right").mapInArrow(verify_batches, EDGE)


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
