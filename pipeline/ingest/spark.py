"""The table ``pairs`` by tasks: read and check, identify the language, ids; then, bucket by bucket, exact repeats.

Rows change places here alone: those of a task go, sorted, as blocks to the buckets of their pair_id.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from pipeline.buckets.files import CODED, write_bucket
from pipeline.buckets.hashing import pair_ids
from pipeline.buckets.scatter import Scatter, in_schema
from pipeline.buckets.spark import Batches, Parts, attempt, new_spool, run_tasks, session_file, shuffle, totals
from pipeline.buckets.totals import Totals
from pipeline.ingest.contents import sampled
from pipeline.ingest.distinct import distinct
from pipeline.ingest.plan import Plan
from pipeline.ingest.read import TRUNCATED, UNREADABLE, VALUES_LOST, read_split
from pipeline.ingest.splits import Split
from pipeline.language.label import label_rows, with_codes
from pipeline.recipe import Input, Language
from pipeline.tables import PAIRS, arrow_schema
from pipeline.tombstones.rows import mark_removed

# Reasons that are counted by what is in `source_uid`: a file, or a column.
FILE_REASONS = (TRUNCATED, UNREADABLE, VALUES_LOST)
SAMPLED = "sampled"  # a line for each file that was read: the hash of its samples, a space, its path
KEPT, DUPLICATE, COLLISION = "kept", "duplicate", "id_collision"
DIGITS = 24  # of an image_id
LAST = 1 << 30  # the part of what a task counted


def write_pairs(
    spark: SparkSession, plan: Plan, options: Input, language: Language, model: str | None, aliases: dict[str, str],
    folder: str, spool: str,
) -> Totals:  # fmt: skip
    """Writes the buckets of ``pairs`` into ``folder``, rows on their way into ``spool``.

    The lines count rows by reason, and by file or column where the reason is of one.

    ``model``: the file name of the language model among the session's files, for ``language.identify: fasttext``.
    ``aliases``: the lists that codes of languages find (``pipeline.language.codes``).
    """
    read = run_tasks(spark, plan.items(), reader(plan, options, language, model, aliases, spool))
    return totals(shuffle(read, plan.buckets, writer(plan, folder)))


def reader(plan: Plan, options: Input, language: Language, model: str | None, aliases: dict[str, str], spool: str):
    """What reads some splits: kept rows go to their buckets, dropped ones are counted."""
    plan = replace(plan, splits=(), files=())

    def read(splits: list[Split]) -> Batches:
        rows, dropped = Scatter(new_spool(spool), plan.buckets, plan.parts), Totals()
        tombstones = plan.tombstones.loaded() if plan.tombstones else None
        for split in splits:
            if split.first:
                count_file(split.path, dropped)
            for batch in read_split(split, plan, options):
                batch = mark_removed(batch, tombstones)
                batch = with_codes(batch, language, session_file(model) if model else None)
                if not language.match_first:
                    batch = label_rows(batch, language, aliases)
                count_dropped(batch, dropped)
                yield from rows.add(with_ids(batch.filter(pc.is_null(batch.column("dropped")))))
        yield from rows.rest()
        rows.spool.close()
        yield dropped.block_of_lines(LAST)

    return read


def count_file(path: str, totals: Totals) -> None:
    """Adds the line of a file; none of one that cannot be opened."""
    with contextlib.suppress(OSError):
        totals.lines[SAMPLED, f"{sampled(path)} {path}"] += 1


def count_dropped(rows: pa.RecordBatch, totals: Totals) -> None:
    """Counts the dropped rows by reason, and by file or column where the reason is one of those."""
    dropped = rows.column("dropped")
    if dropped.null_count == len(dropped):
        return
    gone = rows.select(["dropped", "source_uid", "copies"]).filter(pc.is_valid(dropped))
    by_file = pc.is_in(gone.column("dropped"), value_set=pa.array(FILE_REASONS))
    files = pc.if_else(by_file, gone.column("source_uid"), None)
    for reason, file, copies in zip(
        gone.column("dropped").to_pylist(), files.to_pylist(), gone.column("copies").to_pylist(), strict=True
    ):
        totals.lines[reason, file] += copies


def with_ids(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The kept rows with their ``pair_id``."""
    ids = pair_ids(rows.column("url"), rows.column("text"))
    return rows.drop_columns(["dropped", "copies"]).append_column("pair_id", pa.array(ids))


def writer(plan: Plan, folder: str):
    """What writes a bucket: of its rows those of distinct (url, text)."""
    schema = arrow_schema(PAIRS, plan.passed)
    order = order_of(schema)

    def write(bucket: int, parts: Parts) -> Batches:
        found = Totals()

        def rows() -> Iterator[pa.Table]:
            for part, blocks in parts:
                if part == LAST:
                    for counted in blocks:
                        found.add_lines(counted)
                    continue
                kept, collided = distinct(pa.concat_tables(blocks, promote_options="default"), order)
                copies = pc.sum(kept["copies"]).as_py()
                found.lines[DUPLICATE, None] += copies - kept.num_rows
                found.lines[COLLISION, None] += collided
                yield in_schema(with_image_ids(kept), schema)

        found.lines[KEPT, None] = write_bucket(folder, bucket, attempt(), rows(), schema, CODED)
        yield from found.blocks()

    return write


def order_of(schema: pa.Schema) -> list[str]:
    """The columns of ``pairs`` by which the smallest of equal rows is found."""
    return ["url", "text", *[n for n in schema.names if n not in ("pair_id", "image_id", "url", "text", "copies")]]


def with_image_ids(rows: pa.Table) -> pa.Table:
    """The rows with ``image_id``: 24 hex digits of the SHA-224 of the URL."""
    urls = rows["url"].cast(pa.binary()).to_pylist()
    digits = b"".join(hashlib.sha224(url).digest()[: DIGITS // 2] for url in urls).hex()
    ends = np.arange(0, DIGITS * len(urls) + 1, DIGITS, dtype=np.int32)
    ids = pa.StringArray.from_buffers(len(urls), pa.py_buffer(ends), pa.py_buffer(digits.encode()))
    return rows.append_column("image_id", ids)
