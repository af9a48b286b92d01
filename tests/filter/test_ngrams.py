"""N-grams against a plain counter: how texts are split, what is counted, which texts have a rare one."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from pipeline.filter.ngrams.known import any_unknown, mapped, write_hashes
from pipeline.filter.ngrams.spark import WORD, by_ngrams, count_ngrams, frequent, ranked
from pipeline.filter.order import row_at
from tests.filter.plain import counts_of, hash_of, ngrams, top_of, words

SPLIT = {
    "Dog-friendly café": ["dog", "friendly", "café"],
    "the dog's 2nd toy": ["the", "dog", "s", "2nd", "toy"],
    "image_tid 25&id mggq&cache 0": ["image", "tid", "25", "id", "mggq", "cache", "0"],
    "ΟΔΟΣ e\u0301te\u0301": ["οδος", "e\u0301te\u0301"],
    "猫 a狗か": ["猫", "a", "狗", "か"],
    "แมว, dog": ["แ", "ม", "ว", "dog"],
    " …!? ": [],
    "": [],
}


def table_of(spark, texts):
    return spark.createDataFrame(
        [(i, *row) for i, row in enumerate(texts)], "pair_id bigint, text string, copies bigint"
    )


def test_how_texts_are_split(spark):
    rows = spark.createDataFrame([(text,) for text in SPLIT], "text string")
    found = rows.select("text", F.regexp_extract_all(F.lower("text"), F.lit(WORD), F.lit(0)).alias("words")).collect()
    assert {row["text"]: row["words"] for row in found} == SPLIT
    assert {text: words(text) for text in SPLIT} == SPLIT


TEXTS = st.lists(
    st.tuples(st.text("aAbé0 -_'&猫か.İß\u0301\n", max_size=12), st.integers(1, 3)), min_size=1, max_size=40
)


@settings(max_examples=5, deadline=None)
@given(texts=TEXTS)
def test_counts_are_those_of_a_plain_counter(spark, texts):
    found = {row["ngram"]: row["count"] for row in count_ngrams(table_of(spark, texts)).collect()}
    assert found == {hash_of(ngram): count for ngram, count in counts_of(texts).items()}


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=9),
    known=st.sets(st.integers(-9, 9)),
    cut=st.integers(0, 9),
)
def test_rows_with_an_unknown_hash(rows, known, cut):
    """Also of a slice of a batch, and with nothing known."""
    array = pa.array(rows, pa.list_(pa.int64()))[min(cut, len(rows)) :]
    found = any_unknown(array, np.array(sorted(known), np.int64))
    assert found.tolist() == [not set(row) <= known for row in array.to_pylist()]


def held_against(spark, tmp_path, texts, top=None, min_count=None):
    """The texts that are dropped, which must be those with an n-gram outside of the plain counter's."""
    rows, counts = table_of(spark, texts), counts_of(texts)
    counted, ordered, hashes = (str(tmp_path / name) for name in ("counts", "ranked", "frequent"))
    count_ngrams(rows).write.parquet(counted)
    counted = spark.read.parquet(counted)
    least, last = min_count, None
    if top is not None:
        ranked(counted).write.parquet(ordered)
        found = row_at(sorted(str(file) for file in (tmp_path / "ranked").glob("part-*")), top - 1)
        assert (found is None) == (top > len(counts))
        least, last = (found["count"], found["ngram"]) if found else (1, None)
    frequent(counted, least, last).write.parquet(hashes)
    file = tmp_path / f"{tmp_path.parent.name}-{tmp_path.name}.hashes"
    known = top_of(counts, top) if top is not None else {n for n, count in counts.items() if count >= min_count}
    assert write_hashes(sorted(str(part) for part in (tmp_path / "frequent").glob("part-*")), file) == len(known)
    assert mapped(str(file)).tolist() == sorted(map(hash_of, known))
    spark.sparkContext.addFile(file.as_uri())
    judged = by_ngrams(rows.withColumn("dropped", F.lit(None).cast("string")), file.name).collect()
    expected = {i: None if set(ngrams(text)) <= known else "rare_ngram" for i, (text, _) in enumerate(texts)}
    assert {row["pair_id"]: row["dropped"] for row in judged} == expected
    return list(expected.values()).count("rare_ngram")


SMALL = [("a red cat", 1), ("a red dog", 2), ("a Red, cat.", 1), ("the fish", 1), ("猫か", 1), ("", 1), ("!", 1)]


SLOW = [pytest.param(options, marks=pytest.mark.slow) for options in ({"top": 1}, {"top": 10}, {"min_count": 99})]


@pytest.mark.parametrize("options", [{"top": 7}, {"top": 10_000}, {"min_count": 2}, *SLOW])
def test_texts_with_a_rare_ngram_go(spark, tmp_path, options):
    dropped = held_against(spark, tmp_path, SMALL, **options)
    assert dropped == {("top", 10_000): 0, ("min_count", 2): 2, ("top", 1): 5, ("min_count", 99): 5}.get(
        next(iter(options.items())), dropped
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"top": 20_000}, {"min_count": 3}])
def test_on_real_captions(spark, shared, tmp_path, options):
    path = str(shared / "data" / "captions" / "multi30k-en.txt.zst")
    with pa.OSFile(path) as file, pa.CompressedInputStream(file, "zstd") as lines:
        texts = [(line, 1) for line in lines.read().decode().splitlines()[:100_000]]
    assert len(texts) == 100_000
    dropped = held_against(spark, tmp_path, texts, **options)
    print(f"{options}: {dropped:,} of 100,000 captions have a rare n-gram")
    assert 0 < dropped < 100_000
