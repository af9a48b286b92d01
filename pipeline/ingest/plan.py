"""What to read: the input's files, their format and columns, cut into splits of about equal size.

Looks at footers and first lines only. A wrong configuration (no such path, no such column, a column of a wrong type)
raises ``UsageError``; a file that cannot be opened is a damaged one among good ones and becomes a split that says so.
"""

import csv
import gzip
import io
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import PipelineError, UsageError
from pipeline.ingest.presets import FIELDS, Preset, resolve
from pipeline.recipe import Input
from pipeline.recipe_file import found_path

# The columns of our own tables, which no pass-through column may be named like.
RESERVED = {*FIELDS, "pair_id", "image_id", "language_score", "copies", "entry_list", "entries", "draw"}
RESERVED |= {"keep_probability", "dropped"}
# Columns that stages add on their way: the places of pictures, what filtering finds, weights of balancing again.
RESERVED |= {"status", "tar", "image_offset", "image_size", "original_width", "original_height"}
RESERVED |= {"holds", "frequent", "blocked", "sets", "why", "weight", "first_probability"}
SPLIT_BYTES = 64 << 20
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class Split:
    """A part of one file for one task: bytes [start, end) of a text file, row groups [start, end) of a Parquet file.

    ``columns`` are the names in the file's header (text formats). ``damage`` says why nothing of the file can be read.
    """

    path: str
    format: str
    start: int
    end: int
    columns: tuple[str, ...] = ()
    data_start: int = 0
    damage: str | None = None


@dataclass(frozen=True)
class Plan:
    """The splits of an input, where fields come from, the pass-through columns, (path, bytes, mtime) of its files."""

    splits: tuple[Split, ...]
    preset: Preset
    passed: pa.Schema
    files: tuple[tuple[str, int, int], ...]


def plan(options: Input, language_column: bool) -> Plan:
    """Plans the reading of an input. Raises ``UsageError`` for what the user has to mend."""
    files = find_files(options.paths)
    preset = resolve(options.preset, options.columns, language_column)
    with ThreadPoolExecutor(16) as pool:
        opened = list(pool.map(lambda file: _open(file[0], file[1], options, preset), files))
    whole = [split for split, _ in opened]
    readable = [(split, schema) for split, schema in opened if schema is not None]
    if not readable:
        raise PipelineError(f"--input: no file can be read; the first: {whole[0].path}: {whole[0].damage}")
    for split, schema in readable:
        _check_columns(split, schema, preset)
    passed = _passed_schema(options.pass_through, readable, preset)
    splits = [part for split in whole for part in _cut(split, options)]
    return Plan(tuple(splits), preset, passed, tuple(files))


def find_files(patterns: list[str]) -> list[tuple[str, int, int]]:
    """The files of paths, folders or glob patterns: (path, bytes, modified in ns), sorted, each once."""
    if not patterns:
        raise UsageError("--input: missing; give a file, a folder or a glob pattern")
    found = set()
    for pattern in patterns:
        try:
            files = storage.list_files(found_path(pattern))
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"--input {pattern}: {str(error).splitlines()[0]}") from None
        if not files:
            raise UsageError(f"--input {pattern}: no such file")
        found.update(files)
    return sorted(found)


def _open(path: str, size: int, options: Input, preset: Preset) -> tuple[Split, pa.Schema | None]:
    """The whole file as one split, and its schema; no schema where it is damaged."""
    form = format_of(path, options.format)
    split = Split(path, form, 0, size)
    try:
        if form == "parquet":
            filesystem, inner = storage.open_filesystem(path)
            with filesystem.open_input_file(inner) as file:
                metadata = pq.read_metadata(file)
                return replace(split, end=metadata.num_row_groups), metadata.schema.to_arrow_schema()
        if form == "jsonl":
            return split, pa.schema({})
        return _open_delimited(split, preset)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        return replace(split, damage=str(error).splitlines()[0]), None


def format_of(path: str, given: str) -> str:
    """The format by the recipe, else by the file's name (``.gz`` aside)."""
    if given != "auto":
        return given
    name = storage.base_name(path).lower().removesuffix(".gz")
    for suffix, form in FORMATS.items():
        if name.endswith(suffix):
            return form
    raise UsageError(f"input.format: {path}: not known by its name; allowed: parquet, csv, tsv, jsonl")


def _open_delimited(split: Split, preset: Preset) -> tuple[Split, pa.Schema]:
    """Reads the first line: the header, or, of a preset without one, a first row whose URL must be a URL."""
    filesystem, inner = storage.open_filesystem(split.path)
    with filesystem.open_input_stream(inner, compression=None) as raw:
        stream = (
            gzip.GzipFile(fileobj=raw)
            if storage.base_name(split.path).lower().endswith(".gz")
            else io.BufferedReader(raw)
        )
        first = stream.readline(1 << 24)
    bom = 3 if first.startswith(b"\xef\xbb\xbf") else 0
    names = preset.names
    values = _parse_line(first[bom:], split.format)
    if names is None:
        columns, data_start = tuple(values), len(first)
    else:
        columns, data_start = names, bom
        where = names.index(preset.columns["url"])
        if values and (len(values) != len(names) or "://" not in values[where]):
            raise UsageError(
                f"input.preset: {split.path}: the first row has no URL in column {where + 1} "
                f"(found {(values[where] if where < len(values) else values[0])[:60]!r}); "
                f"allowed: {', '.join(names)} without header"
            )
    return replace(split, columns=columns, data_start=data_start), pa.schema({name: pa.string() for name in columns})


def _parse_line(line: bytes, form: str) -> list[str]:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not text.strip():
        return []
    return text.split("\t") if form == "tsv" else next(csv.reader([text]))


def _check_columns(split: Split, schema: pa.Schema, preset: Preset) -> None:
    if split.format == "jsonl":
        return  # Every line has its own keys; a line without url or text is counted.
    if not schema.names:
        return  # An empty text file.
    for name, column in preset.columns.items():
        if column not in schema.names:
            if name in preset.optional:
                continue
            raise UsageError(
                f"input.columns: {split.path}: no column {column!r} for {name}; it has {', '.join(schema.names)}"
            )
        kind = schema.field(column).type
        if name in ("url", "text", "language") and not _is_text(kind):
            raise UsageError(
                f"input.columns: {split.path}: column {column!r} for {name} is {kind}; a string is allowed"
            )
        if name in ("width", "height") and not (
            _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
        ):
            raise UsageError(
                f"input.columns: {split.path}: column {column!r} for {name} is {kind}; a number is allowed"
            )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
        or pa.types.is_null(kind)
    )  # fmt: skip


def _inner(kind: pa.DataType) -> pa.DataType:
    """The type of what is in lists, in lists of lists too."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return kind


def _passed_schema(wanted: list[str], readable: list[tuple[Split, pa.Schema]], preset: Preset) -> pa.Schema:
    """The types of the pass-through columns, as the first file that has them says; texts for text formats."""
    fields = []
    for name in wanted:
        if name in RESERVED:
            raise UsageError(f"input.pass_through: {name!r} is a column of ours; map it with input.columns")
        kinds = [s.field(name).type for _, s in readable if name in s.names]
        if not kinds and all(split.format != "jsonl" for split, _ in readable):
            raise UsageError(
                f"input.pass_through: no column {name!r} in the input; it has {', '.join(readable[0][1].names)}"
            )
        kind = kinds[0] if kinds else pa.string()
        if pa.types.is_nested(_inner(kind)):
            raise UsageError(f"input.pass_through: column {name!r} is {kind}; plain values and lists are allowed")
        fields.append(pa.field(name, _plain(kind)))
    return pa.schema(fields)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type that Spark takes for a column of this type."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_unsigned_integer(kind):
        return pa.int64()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return kind


def _cut(split: Split, options: Input) -> list[Split]:
    """Cuts a readable file: Parquet by row group, plain text at byte offsets; gz and multi-line CSV stay whole."""
    if split.damage:
        return [split]
    if split.format == "parquet":
        return [replace(split, start=i, end=i + 1) for i in range(split.end)] or [split]
    if storage.base_name(split.path).lower().endswith(".gz") or (split.format == "csv" and options.multiline):
        return [replace(split, start=split.data_start)]
    starts = range(split.data_start, max(split.end, split.data_start + 1), SPLIT_BYTES)
    return [replace(split, start=at, end=min(split.end, at + SPLIT_BYTES)) for at in starts]
