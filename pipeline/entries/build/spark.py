"""Counting over texts and page views as DataFrames.

A dump is cut at ``</page>`` by Spark's text reader, which splits bzip2 files by block, so that one dump uses all cores.
Each task combines its counts before the one shuffle, by word or pair.
"""

import re
from collections.abc import Iterator
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline import storage
from pipeline.entries.build.ngrams import COUNTS, NgramCounter, batch
from pipeline.entries.build.recipe import Limits, Text
from pipeline.entries.build.segment import runs
from pipeline.entries.build.wikitext import PAGE_END, page_text
from pipeline.paths import spark_pattern

NGRAMS = "x string, y string, count bigint"
PAGES, LINES, PRUNED = "pages", "lines", "pruned_bigrams"
# Project codes of a language: its desktop and its mobile site.
SITES = ("", ".m")


def records(spark: SparkSession, files: list[str], damaged: bool = False, dumps: bool = True) -> DataFrame:
    """The records of text files: ``value``, and ``page``, whether it is of a dump (a name with .xml) or a line.

    Without ``dumps`` all are lines. Spark reads UTF-8; a file that begins with a mark of UTF-16, or whose name Spark
    cannot read, is read whole by one task. ``damaged``: some files are, and are read as far as they can be; otherwise
    they fail the job.
    """
    whole = [file for file in files if storage.is_utf16(file) or not spark_reads(file)]
    found = []
    for page, options in ((True, {"lineSep": PAGE_END}), (False, {})):
        paths = [spark_pattern(file) for file in files if (dumps and is_dump(file)) == page and file not in whole]
        if paths:
            rows = spark.read.options(ignoreCorruptFiles=damaged, **options).text(paths)
            found.append(rows.withColumn("page", F.lit(page)))
    found += [whole_records(spark, whole, damaged, dumps)] if whole else []
    return reduce(DataFrame.union, found)


def spark_reads(file: str) -> bool:
    """Whether Spark's text reader takes a file of this name.

    It leaves hidden ones out. Hadoop fails at a colon in the name, whose checksum it looks for on a local disk, and at
    one anywhere in a path that it has to expand.
    """
    name, url = storage.base_name(file), storage.spark_url(file)
    to_expand = url.partition("://")[2] if spark_pattern(file) != url else name
    return not name.startswith((".", "_")) and ":" not in to_expand


def damaged_files(spark: SparkSession, files: list[str]) -> dict[str, str]:
    """The files that cannot be read to their end, and why; every file is read whole by a task."""

    def read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            paths = rows.column("file").to_pylist()
            why = pa.array([storage.damage(path) for path in paths], pa.string())
            yield pa.RecordBatch.from_arrays([rows.column("file"), why], ["file", "why"])

    listed = spark.createDataFrame([(file,) for file in files], "file string").repartition(len(files))
    found = listed.mapInArrow(read_batches, "file string, why string").where("why is not null").toArrow().to_pylist()
    return {line["file"]: line["why"] for line in sorted(found, key=lambda line: line["file"])}


def whole_records(spark: SparkSession, files: list[str], damaged: bool, dumps: bool) -> DataFrame:
    """The records of files that are read as a whole, UTF-16 or UTF-8; ``damaged`` and ``dumps`` as for ``records``."""

    def read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            for file in rows.column("file").to_pylist():
                content, why = storage.unpacked(file)
                if why and not damaged:
                    raise OSError(f"{file}: {why}")
                wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
                text = content.decode("utf-16" if wide else "utf-8-sig", "replace")
                page = dumps and is_dump(file)
                lines = text.splitlines() if wide else re.split("\r\n|\n|\r", text.removesuffix("\n"))
                values = (text.split(PAGE_END) if page else lines) if text else []
                columns = {"value": pa.array(values, pa.string()), "page": pa.array([page] * len(values), pa.bool_())}
                yield pa.record_batch(columns)

    listed = spark.createDataFrame([(file,) for file in files], "file string").repartition(len(files))
    return listed.mapInArrow(read_batches, "value string, page boolean")


def is_dump(file: str) -> bool:
    """Whether a file's name is that of a dump: .xml, .xml.bz2, or part of one (.xml-p1p41242.bz2)."""
    return ".xml" in storage.base_name(file).lower()


def count_ngrams(found: DataFrame, language: str, options: Text, bigrams: bool, prune: int) -> DataFrame:
    """The counts of words (y null) and pairs, and rows (x null) of what was read and left out, by the reason in y."""

    def count_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        counter, seen = NgramCounter(bigrams, prune), {}
        for rows in batches:
            for value, page in zip(rows.column("value").to_pylist(), rows.column("page").to_pylist(), strict=True):
                text, reason = page_text(value) if page else (value, None)
                kind = reason or (PAGES if page else LINES)
                seen[kind] = seen.get(kind, 0) + 1
                if text is not None:
                    text = text.lower() if options.case == "lower" else text
                    counter.add(runs(text, language, options.segment))
                if counter.full():
                    yield from counter.results()
        yield from counter.results()
        seen |= {PRUNED: counter.pruned} if counter.pruned else {}
        yield batch([None] * len(seen), list(seen), list(seen.values()))

    assert COUNTS.names == ["x", "y", "count"]
    counted = found.mapInArrow(count_batches, NGRAMS)
    return counted.groupBy("x", "y").agg(F.sum("count").alias("count"))


def seen_records(counts: DataFrame) -> dict[str, int]:
    """What was read and left out, by reason."""
    lines = counts.where("x is null").select("y", "count").toArrow().to_pylist()
    return {line["y"]: line["count"] for line in sorted(lines, key=lambda line: line["y"])}


def words(counts: DataFrame) -> DataFrame:
    """The words with their counts."""
    return counts.where("x is not null and y is null").select(F.col("x").alias("word"), "count")


def scored_pairs(counts: DataFrame, total: int, score: str, min_count: int) -> DataFrame:
    """The pairs of at least ``min_count``: x, y, count, and ``score``, ``pmi`` or ``npmi`` as ``ngrams`` has it."""
    pairs = counts.where("x is not null and y is not null").where(F.col("count") >= min_count)
    first = words(counts).select(F.col("word").alias("x"), F.col("count").alias("of_x"))
    second = words(counts).select(F.col("word").alias("y"), F.col("count").alias("of_y"))
    both = F.col("count").cast("double")
    value = F.log2(both * total) - F.log2(F.col("of_x").cast("double") * F.col("of_y"))
    if score == "npmi":
        value = value / -F.log2(both / total)
    joined = pairs.join(first, "x").join(second, "y")
    return joined.select("x", "y", "count", value.alias("score"))


def joined_pairs(pairs: DataFrame, joiner: str) -> DataFrame:
    """The pairs as entries: ``entry``, ``score``."""
    return pairs.select(F.concat_ws(joiner, "x", "y").alias("entry"), "score")


def title_views(
    spark: SparkSession, files: list[str], language: str, damaged: bool = False
) -> tuple[DataFrame, DataFrame]:
    """The titles of a language with their views summed over page-view files, and the lines by what became of them.

    A title with a colon and no space after it is of another namespace and left out. ``damaged`` as for ``records``.
    """
    parts = F.split("value", " ")
    sites = [language + site for site in SITES]
    lines = records(spark, files, damaged, dumps=False).select(
        parts.getItem(0).alias("site"),
        F.translate(parts.getItem(1), "_", " ").alias("title"),
        F.expr("try_cast(get(split(value, ' '), 2) as bigint)").alias("views"),
        (F.size(parts) >= 3).alias("whole"),
    )
    kind = (
        F.when(~F.col("whole") | F.col("views").isNull(), F.lit("bad_line"))
        .when(~F.col("site").isin(sites), F.lit("other_site"))
        .when(F.col("title").rlike(r"^[^:]+:\S"), F.lit("other_namespace"))
        .when(F.col("title") == "-", F.lit("no_title"))
        .otherwise(F.lit("titles"))
    )
    lines = lines.withColumn("kind", kind)
    views = lines.where("kind = 'titles'").groupBy("title").agg(F.sum("views").alias("views"))
    return views, lines.groupBy("kind").count()


def best(candidates: DataFrame, entry: str, score: str, limits: Limits, more: int | None = None) -> pa.Table:
    """The best of candidates within the limits, by score, then name: (entry, score). ``more``: also at most so many."""
    if limits.min is not None:
        candidates = candidates.where(F.col(score) >= limits.min)
    most = [number for number in (limits.most, more) if number is not None]
    if limits.top_share is not None:
        most.append(int(candidates.count() * limits.top_share))
    chosen = candidates.select(F.col(entry).alias("entry"), F.col(score).cast("double").alias("score"))
    if most:
        chosen = chosen.orderBy(F.desc("score"), "entry").limit(min(most))
    return chosen.toArrow().sort_by([("score", "descending"), ("entry", "ascending")])
