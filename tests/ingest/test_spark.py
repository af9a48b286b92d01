"""Ids and repeats as DataFrames, against independent code."""

import hashlib

import pyarrow as pa
import xxhash

from pipeline.ingest.spark import add_ids, drop_repeats

COLUMNS = (
    "url string, text string, text_source string, page_url string, page_language string, language string, "
    "language_score double, width int, height int, source_uid string, copies bigint, dropped string"
)


def frame(spark, *rows):
    """Rows of (url, text[, {more}]) as checked input rows."""
    names = [c.split()[0] for c in COLUMNS.split(", ")]
    full = []
    for url, text, *more in rows:
        values = dict.fromkeys(names) | {"url": url, "text": text, "copies": 1} | (more[0] if more else {})
        full.append(tuple(values[name] for name in names))
    return spark.createDataFrame(full, COLUMNS)


def test_ids_are_those_of_python_xxhash_and_hashlib(spark):
    texts = ["a", "ünï 猫", "", "x" * 100_000, " \t"]
    rows = frame(spark, *[(f"http://x/{i}?é", text) for i, text in enumerate(texts)]).transform(add_ids).collect()
    for row in rows:
        want = xxhash.xxh64((row.url + "\0" + row.text).encode(), seed=42).intdigest()
        assert row.pair_id % (1 << 64) == want
        assert row.image_id == hashlib.sha224(row.url.encode()).hexdigest()[:24]


def test_the_smallest_of_equal_rows_survives(spark):
    rows = frame(
        spark,
        ("http://x/1", "t", {"width": 9, "source_uid": "b"}),
        ("http://x/1", "t", {"width": 5, "source_uid": "z"}),
        ("http://x/1", "t", {"width": 5, "source_uid": "c"}),
        ("http://x/2", "t"),
        (None, None, {"dropped": "nul"}),
        (None, None, {"dropped": "nul", "copies": 4}),
        (None, None, {"dropped": "truncated", "source_uid": "f.gz"}),
    )
    found = {(r.url, r.dropped): r for r in rows.transform(add_ids).transform(drop_repeats, []).collect()}
    first = found["http://x/1", None]
    assert (first.width, first.source_uid, first.copies) == (5, "c", 3)
    assert found["http://x/2", None].copies == 1
    assert found[None, "nul"].copies == 5
    assert found[None, "truncated"].source_uid == "f.gz"
    assert len(found) == 4


def test_an_equal_id_of_other_content_is_counted(spark):
    from pyspark.sql import functions as F

    rows = frame(spark, ("http://x/b", "t"), ("http://x/a", "t"), ("http://x/a", "t"), ("http://x/c", "t")).transform(
        add_ids
    )
    rows = rows.withColumn("pair_id", F.lit(5).cast("bigint"))
    found = {r.dropped: r for r in rows.transform(drop_repeats, []).collect()}
    assert found[None].url == "http://x/a"
    assert found[None].copies == 2
    assert found["id_collision"].copies == 2


def test_no_rows(spark):
    assert (
        frame(spark, ("u", "t")).where("false").transform(add_ids).transform(drop_repeats, []).toArrow().num_rows == 0
    )
    assert isinstance(frame(spark, ("u", "t")).toArrow(), pa.Table)
