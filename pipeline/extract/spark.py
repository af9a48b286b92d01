"""Crawl files by tasks: a task a file, whose pairs become one Parquet file in the store ``extracted/``."""

import pyarrow as pa
from pyspark.sql import SparkSession

from pipeline.buckets.spark import Batches, attempt, run_tasks
from pipeline.extract.inputs import CrawlFile
from pipeline.extract.options import Extract
from pipeline.extract.store import CRAWL_FILES, finished, line, write_pairs
from pipeline.tombstones.table import Stored

# So many files that are done already are looked at by one task.
LOOKED_AT = 1000


def extract_files(
    spark: SparkSession, files: dict[str, CrawlFile], done: set[str], kind: str, options: Extract, folder: str,
    removed: Stored | None = None,
) -> pa.Table:  # fmt: skip
    """Reads the files that are not done; returns ``CRAWL_FILES`` of all. ``files``: by the names of their tables."""
    names = sorted(files)
    old = [name for name in names if name in done]
    items = [[name] for name in names if name not in done]
    items += [old[start : start + LOOKED_AT] for start in range(0, len(old), LOOKED_AT)]

    def extract(named: list[tuple[str, CrawlFile]]) -> Batches:
        for name, file in named:
            found = finished(folder, name) or write_pairs(folder, name, file, kind, options, attempt(), removed)
            yield line(file, name, found)

    work = [[(name, files[name]) for name in item] for item in items]
    return run_tasks(spark, work, extract, CRAWL_FILES).toArrow().cast(CRAWL_FILES).sort_by("path")
