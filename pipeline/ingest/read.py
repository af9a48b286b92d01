"""Reads a split into batches of pairs, with what is wrong with a row in its column ``dropped``.

Every row of the input comes out once: kept (``dropped`` null), or dropped with its reason; rows that cannot be told
apart any more (malformed, cut in two) come out as one row per reason whose ``copies`` says how many they are. The last
row of a split has the reason ``ROWS_READ``: the rows that the reader counted, to hold the sum against. Rows with the
reason ``VALUES_LOST`` are no rows of the input: for the column in ``source_uid``, ``copies`` values became null.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.ingest.convert import as_bytes, as_id, as_size, as_url, fit, utf8
from pipeline.ingest.delimited import delimited_batches
from pipeline.ingest.json_lines import json_batches
from pipeline.ingest.passed import check_columns
from pipeline.ingest.plan import Plan, open_file
from pipeline.ingest.splits import Split
from pipeline.ingest.text import Rows, gzip_chunks, plain_chunks, utf16_chunks
from pipeline.recipe import Input

ROWS_READ, VALUES_LOST = "rows_read", "values_lost"
TRUNCATED, UNREADABLE = "truncated", "unreadable"
PARQUET_ROWS = 8192
UNREAD = (OSError, pa.ArrowException, UnicodeDecodeError)  # the last of names of columns
LANGUAGE_CODE = r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{1,8})*$"
URL = r"^[A-Za-z][A-Za-z0-9+.\-]*://[^\x00-\x20]"

FIELDS = pa.schema(
    {
        "url": pa.string(),
        "text": pa.string(),
        "text_source": pa.string(),
        "page_url": pa.string(),
        "page_language": pa.string(),
        "language": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "source_uid": pa.string(),
    }
)


def rows_schema(passed: pa.Schema) -> pa.Schema:
    """The schema of the batches that ``read_split`` gives."""
    return pa.schema([*FIELDS, pa.field("copies", pa.int64()), pa.field("dropped", pa.string()), *passed])


def read_split(split: Split, plan: Plan, options: Input) -> Iterator[pa.RecordBatch]:
    """The rows of a split as batches of ``rows_schema(plan.passed)``."""
    schema = rows_schema(plan.passed)
    bad: Counter = Counter()
    lost: Counter = Counter()
    read = 0
    split = opened(split, options, plan)
    if split.damage:
        bad[UNREADABLE] += 0
    else:
        for batch in _batches(split, plan, options, bad):
            read += batch.num_rows
            yield check_rows(batch, plan, options.max_text_bytes, schema, lost)
    read += sum(bad.values())
    bad[ROWS_READ] = read
    lines = [(reason, rows, split.path if reason in (TRUNCATED, UNREADABLE) else None) for reason, rows in bad.items()]
    lines += [(VALUES_LOST, values, column) for column, values in lost.items() if values]
    counted = {
        name: pa.array(column, schema.field(name).type)
        for name, column in zip(("dropped", "copies", "source_uid"), zip(*lines, strict=True), strict=True)
    }
    yield _in_schema(counted, len(lines), schema)


def opened(split: Split, options: Input, plan: Plan) -> Split:
    """The split, or, where its file was not looked at before, what is seen of it now: what is wrong is its damage."""
    if split.opened:
        return split
    try:
        found = open_file(split.path, split.size, options, plan.preset)
        if found.schema is not None:
            check_columns(split.path, found.schema, plan.preset, plan.passed.names)
    except UsageError as error:
        return replace(split, damage=str(error))
    return replace(found.split, start=found.split.data_start)


def _batches(split: Split, plan: Plan, options: Input, bad: Counter) -> Iterator[pa.RecordBatch]:
    """The raw batches of a split; damage is counted in ``bad`` after the rows before it were given."""
    filesystem, path = storage.open_filesystem(split.path)
    columns = plan.preset.columns
    wanted = list(dict.fromkeys([*columns.values(), *plan.passed.names]))
    with filesystem.open_input_file(path) as file:
        if split.format == "parquet":
            yield from _parquet_batches(file, split, wanted, bad)
            return
        skip = 0 if split.encoding else split.start
        if storage.base_name(split.path).lower().endswith(".gz"):
            chunks = gzip_chunks(file, skip)
        else:
            chunks = plain_chunks(file, skip, split.end, 0 if split.encoding else split.data_start)
        if split.encoding:
            chunks = utf16_chunks(chunks, split.encoding, split.start)
        source = Rows(chunks)
        if split.format == "jsonl":
            ids = columns.get("source_uid")
            yield from json_batches(source, wanted, columns["url"], columns["text"], ids, bad)
        elif split.columns:
            yield from delimited_batches(
                source, split.columns, split.format == "tsv", options.multiline, options.max_text_bytes, bad
            )
        if source.damage:
            bad[TRUNCATED] += source.damage.partial


def _parquet_batches(file: pa.NativeFile, split: Split, wanted: list[str], bad: Counter) -> Iterator[pa.RecordBatch]:
    """The batches of the split's row groups; the rows of a damaged one that cannot be read are counted.

    Of a file that became another since it was looked at nobody knows how many those are.
    """
    try:
        reader = pq.ParquetFile(file)
    except UNREAD:
        bad[UNREADABLE] += 0
        return
    if reader.num_row_groups < split.end:
        bad[UNREADABLE] += 0
    columns = [name for name in wanted if name in reader.schema_arrow.names]
    for group in range(split.start, min(split.end, reader.num_row_groups)):
        place, (first, end) = 0, split.rows(reader.metadata.row_group(group).num_rows)
        left = end - first
        try:
            for batch in reader.iter_batches(PARQUET_ROWS, row_groups=[group], columns=columns, use_threads=False):
                skipped = min(max(0, first - place), batch.num_rows)
                here = batch.slice(skipped, max(0, end - place - skipped))
                place += batch.num_rows
                left -= here.num_rows
                if here.num_rows:
                    yield here
                if place >= end:
                    break
        except UNREAD:
            bad[UNREADABLE] += left


def check_rows(
    batch: pa.RecordBatch, plan: Plan, max_text_bytes: int, schema: pa.Schema, lost: Counter
) -> pa.RecordBatch:
    """A raw batch in ``schema``, with the first thing that is wrong with a row in ``dropped``.

    In this order: ``missing_url``, ``empty_text`` (null, or nothing but white space), ``text_too_long``, ``nul``,
    ``invalid_utf8``, ``bad_url`` (no ``scheme://``, once it is trimmed), ``bad_language`` (of a language column).
    Values of other columns that became null, as they do not fit, are counted by column in ``lost``.
    """
    rows = batch.num_rows
    columns = {
        name: batch.column(batch.schema.names.index(column))
        for name, column in plan.preset.columns.items()
        if column in batch.schema.names
    }
    raw = {name: as_bytes(column) for name, column in columns.items() if name not in CONVERTED}
    url, text = raw["url"], raw["text"]
    reason = np.zeros(rows, np.int8)
    _mark(reason, 1, pc.equal(pc.fill_null(pc.binary_length(url), 0), 0))
    _mark(reason, 2, pc.equal(pc.fill_null(pc.binary_length(text), 0), 0))
    _mark(reason, 3, pc.greater(pc.fill_null(pc.binary_length(text), 0), max_text_bytes))
    for column in (url, text):
        _mark(reason, 4, pc.match_substring(column, b"\0"))
    values: dict[str, pa.Array] = {}
    for name, column in raw.items():
        values[name], invalid = utf8(column)
        if name in ("url", "text"):
            _mark(reason, 5, invalid)
        else:
            lost[plan.preset.columns[name]] += pc.sum(invalid).as_py() or 0
    _mark(reason, 2, pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values["text"])), 0))
    values["url"] = as_url(values["url"])
    _mark(reason, 6, pc.invert(pc.match_substring_regex(values["url"], URL)))
    if "language" in values:
        given = values["language"] = pc.if_else(pc.equal(values["language"], ""), None, values["language"])
        _mark(reason, 7, pc.invert(pc.match_substring_regex(given, LANGUAGE_CODE)))
    for name, convert in CONVERTED.items():
        if name in columns:
            values[name], missed = convert(columns[name])
            lost[plan.preset.columns[name]] += missed
    for field in plan.passed:
        if field.name in batch.schema.names:
            values[field.name], missed = fit(batch.column(batch.schema.names.index(field.name)), field.type)
            lost[field.name] += missed
    values["dropped"] = pa.DictionaryArray.from_arrays(pa.array(reason), REASONS).cast(pa.string())
    values["copies"] = pa.array(np.ones(rows, np.int64))
    return _in_schema(values, rows, schema)


CONVERTED = {"width": as_size, "height": as_size, "source_uid": as_id}
REASONS = pa.array(
    [None, "missing_url", "empty_text", "text_too_long", "nul", "invalid_utf8", "bad_url", "bad_language"], pa.string()
)


def _mark(reason: np.ndarray, code: int, wrong: pa.Array) -> None:
    """Sets the reason of rows that are wrong and have none yet; null is not wrong."""
    found = pc.fill_null(wrong, False).to_numpy(zero_copy_only=False)
    reason[found & (reason == 0)] = code


def _in_schema(values: dict[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    columns = [values[f.name] if f.name in values else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
