"""Reads a split into batches of pairs, with what is wrong with a row in its column ``dropped``.

Every row of the input comes out once: kept (``dropped`` null), or dropped with its reason; rows that cannot be told
apart any more (malformed, cut in two) come out as one row per reason whose ``copies`` says how many they are. The last
row of a split has the reason ``ROWS_READ``: the rows that the reader counted, to hold the sum against.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.ingest.plan import Plan, Split
from pipeline.ingest.text import Rows, delimited_batches, gzip_chunks, json_batches, plain_chunks

ROWS_READ = "rows_read"
TRUNCATED, UNREADABLE = "truncated", "unreadable"
PARQUET_ROWS = 8192
LANGUAGE_CODE = r"^[a-z]{2,3}([_-][A-Za-z0-9]{2,8})*$"
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


def read_split(split: Split, plan: Plan, max_text_bytes: int, multiline: bool) -> Iterator[pa.RecordBatch]:
    """The rows of a split as batches of ``rows_schema(plan.passed)``."""
    schema = rows_schema(plan.passed)
    bad: Counter = Counter()
    read = 0
    if split.damage:
        bad[UNREADABLE] += 0
    else:
        for batch in _batches(split, plan, multiline, bad):
            read += batch.num_rows
            yield check_rows(batch, plan, max_text_bytes, schema)
    read += sum(bad.values())
    bad[ROWS_READ] = read
    reasons = list(bad)
    counted = {
        "dropped": pa.array(reasons, pa.string()),
        "copies": pa.array([bad[r] for r in reasons], pa.int64()),
        "source_uid": pa.array([split.path if r in (TRUNCATED, UNREADABLE) else None for r in reasons], pa.string()),
    }
    yield _in_schema(counted, len(reasons), schema)


def _batches(split: Split, plan: Plan, multiline: bool, bad: Counter) -> Iterator[pa.RecordBatch]:
    """The raw batches of a split; damage is counted in ``bad`` after the rows before it were given."""
    filesystem, path = storage.open_filesystem(split.path)
    wanted = [*plan.preset.columns.values(), *plan.passed.names]
    with filesystem.open_input_file(path) as file:
        if split.format == "parquet":
            yield from _parquet_batches(file, split, wanted, bad)
            return
        compressed = storage.base_name(split.path).lower().endswith(".gz")
        chunks = (
            gzip_chunks(file, split.start) if compressed
            else plain_chunks(file, split.start, split.end, split.data_start)
        )  # fmt: skip
        source = Rows(chunks)
        if split.format == "jsonl":
            yield from json_batches(source, list(dict.fromkeys(wanted)), bad)
        elif split.columns:
            yield from delimited_batches(source, split.columns, split.format == "tsv", multiline, bad)
        if source.damage:
            bad[TRUNCATED] += source.damage.partial


def _parquet_batches(file: pa.NativeFile, split: Split, wanted: list[str], bad: Counter) -> Iterator[pa.RecordBatch]:
    """The batches of the split's row groups; the rows of a damaged one that cannot be read are counted."""
    reader = pq.ParquetFile(file)
    columns = [name for name in dict.fromkeys(wanted) if name in reader.schema_arrow.names]
    for group in range(split.start, split.end):
        left = reader.metadata.row_group(group).num_rows
        try:
            for batch in reader.iter_batches(PARQUET_ROWS, row_groups=[group], columns=columns, use_threads=False):
                left -= batch.num_rows
                yield batch
        except (OSError, pa.ArrowException):
            bad[UNREADABLE] += left


def check_rows(batch: pa.RecordBatch, plan: Plan, max_text_bytes: int, schema: pa.Schema) -> pa.RecordBatch:
    """A raw batch in ``schema``, with the first thing that is wrong with a row in ``dropped``.

    In this order: ``missing_url``, ``empty_text`` (null, or nothing but white space), ``text_too_long``, ``nul``,
    ``invalid_utf8``, ``bad_url`` (no ``scheme://``), ``bad_language`` (of a language column).
    """
    rows = batch.num_rows
    raw = {
        name: _bytes(batch.column(batch.schema.names.index(column)))
        for name, column in plan.preset.columns.items()
        if column in batch.schema.names and name not in ("width", "height")
    }
    url, text = raw["url"], raw["text"]
    reason = np.zeros(rows, np.int8)
    _mark(reason, 1, pc.equal(pc.fill_null(pc.binary_length(url), 0), 0))
    _mark(reason, 2, pc.equal(pc.fill_null(pc.binary_length(text), 0), 0))
    _mark(reason, 3, pc.greater(pc.fill_null(pc.binary_length(text), 0), max_text_bytes))
    for column in (url, text):
        _mark(reason, 4, pc.match_substring(column, b"\0"))
    values: dict[str, pa.Array] = {}
    for name, column in raw.items():
        values[name], invalid = _utf8(column)
        if name in ("url", "text"):
            _mark(reason, 5, invalid)
    _mark(reason, 2, pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values["text"])), 0))
    _mark(reason, 6, pc.invert(pc.match_substring_regex(values["url"], URL)))
    if "language" in values:
        given = values["language"] = pc.if_else(pc.equal(values["language"], ""), None, values["language"])
        _mark(reason, 7, pc.invert(pc.match_substring_regex(given, LANGUAGE_CODE)))
    for name in ("width", "height"):
        column = plan.preset.columns.get(name)
        if column in batch.schema.names:
            values[name] = _number(batch.column(batch.schema.names.index(column)))
    for passed in plan.passed:
        if passed.name in batch.schema.names:
            values[passed.name] = _passed(batch.column(batch.schema.names.index(passed.name)), passed.type)
    values["dropped"] = pa.DictionaryArray.from_arrays(pa.array(reason), REASONS).cast(pa.string())
    values["copies"] = pa.array(np.ones(rows, np.int64))
    return _in_schema(values, rows, schema)


REASONS = pa.array(
    [None, "missing_url", "empty_text", "text_too_long", "nul", "invalid_utf8", "bad_url", "bad_language"], pa.string()
)


def _mark(reason: np.ndarray, code: int, wrong: pa.Array) -> None:
    """Sets the reason of rows that are wrong and have none yet; null is not wrong."""
    found = pc.fill_null(wrong, False).to_numpy(zero_copy_only=False)
    reason[found & (reason == 0)] = code


def _bytes(column: pa.Array) -> pa.Array:
    """A text column as bytes, unchecked."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return column.cast(pa.binary())
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return column.cast(pa.binary())
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary_view())
    if pa.types.is_large_binary(column.type) or pa.types.is_binary_view(column.type):
        return column.cast(pa.binary())
    return column.cast(pa.string()).cast(pa.binary())  # an id that is a number


def _utf8(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A bytes column as texts, those that are not UTF-8 as null, and which those are."""
    try:
        return column.cast(pa.string()), pa.nulls(len(column), pa.bool_())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for value in column.to_pylist():
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
        array = pa.array(texts, pa.string())
        return array, pc.and_(pc.is_valid(column), pc.is_null(array))


def _number(column: pa.Array) -> pa.Array:
    """Widths and heights as int32; what is no number in its range is null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        texts, _ = _utf8(_bytes(column))
        trimmed = pc.utf8_trim_whitespace(texts)
        column = pc.if_else(pc.match_substring_regex(trimmed, r"^[0-9]{1,9}(\.[0-9]*)?$"), trimmed, None).cast(
            pa.float64()
        )
    numbers = column.cast(pa.float64(), safe=False)
    inside = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, 2**31))
    return pc.if_else(inside, numbers, None).cast(pa.int32(), safe=False)


def _passed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A pass-through column in its planned type; bytes of text formats become text, what does not fit is null."""
    if pa.types.is_string(kind):
        return _utf8(_bytes(column))[0]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(kind, safe=False)
    except pa.ArrowException:
        return pa.nulls(len(column), kind)


def _in_schema(values: dict[str, pa.Array], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    columns = [values[f.name] if f.name in values else pa.nulls(rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
