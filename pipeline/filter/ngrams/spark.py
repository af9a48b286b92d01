"""N-grams as DataFrames: words and pairs of words, counted over the pool by a hash, and the texts that have a rare one.

ALIGN (Jia et al. 2021, section 3) does not say how it splits texts. Here a word is a run of letters, marks and digits
of the text in lower case; whatever else stands between them only parts them, so that "dog-friendly", "dog, friendly"
and "Dog friendly" have the same words. In scripts without spaces each character is a word.
"""

from collections.abc import Iterator

import pyarrow as pa
from pyspark import SparkFiles
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from pipeline.filter.duplicates.spark import drop
from pipeline.filter.ngrams.known import any_unknown, mapped
from pipeline.match.spacing import KANA, UNSPACED_SCRIPTS

UNSPACED = UNSPACED_SCRIPTS + KANA
WORD = rf"[{UNSPACED}&&[\p{{L}}\p{{M}}\p{{N}}]]|[\p{{L}}\p{{M}}\p{{N}}&&[^{UNSPACED}]]+"


def ngrams(text: Column) -> Column:
    """The hashes of a text's words and pairs of neighbouring words, as often as they occur.

    Two n-grams of one hash are taken for one: at a hundred million frequent ones, one rare n-gram of 10^11 is.
    """
    words = F.regexp_extract_all(F.lower(text), F.lit(WORD), F.lit(0))
    singles = F.transform(words, lambda word: F.xxhash64(word))
    before, after = (F.slice(words, start, F.greatest(F.size(words) - 1, F.lit(0))) for start in (1, 2))
    pairs = F.zip_with(before, after, lambda one, next_one: F.xxhash64(F.concat_ws(" ", one, next_one)))
    return F.concat(singles, pairs)


def count_ngrams(pool: DataFrame) -> DataFrame:
    """How often each n-gram occurs in the rows of the input that the pairs stand for: (ngram, count)."""
    found = pool.select(F.explode(ngrams(F.col("text"))).alias("ngram"), "copies")
    return found.groupBy("ngram").agg(F.sum("copies").alias("count"))


def by_ngrams(pairs: DataFrame, file: str) -> DataFrame:
    """Drops the texts with an n-gram that is not in a file of the session, by name, as ``write_hashes`` makes it."""

    def look_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known = mapped(SparkFiles.get(file))
        for batch in batches:
            rare = pa.array(any_unknown(batch.column("ngrams"), known))
            yield pa.RecordBatch.from_arrays([batch.column("pair_id"), rare], ["pair_id", "rare"])

    looked = pairs.where("dropped is null").select("pair_id", ngrams(F.col("text")).alias("ngrams"))
    rare = looked.mapInArrow(look_batches, "pair_id bigint, rare boolean").where("rare")
    return pairs.join(rare, "pair_id", "left").transform(drop, {"rare_ngram": F.col("rare").isNotNull()}).drop("rare")


def ranked(counts: DataFrame) -> DataFrame:
    """The n-grams, most frequent first, those of one count by their hash."""
    return counts.orderBy(F.desc("count"), "ngram")


def frequent(counts: DataFrame, least: int, last: int | None = None) -> DataFrame:
    """The hashes of n-grams of at least a count, ascending; of that very count only those up to ``last``."""
    chosen = F.col("count") >= least
    if last is not None:
        chosen = (F.col("count") > least) | ((F.col("count") == least) & (F.col("ngram") <= last))
    return counts.where(chosen).select("ngram").orderBy("ngram")
