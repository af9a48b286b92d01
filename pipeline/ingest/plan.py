"""What to read: the input's files, their format and columns, cut into splits of about equal size.

Looks at footers and first lines only. A wrong configuration (no such path, no such column, a column of a wrong type)
raises ``UsageError``; a file that cannot be opened is a damaged one among good ones and becomes a split that says so.
"""

import codecs
import csv
import itertools
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import PipelineError, UsageError
from pipeline.ingest.passed import check_columns, passed_schema
from pipeline.ingest.presets import Preset, resolve
from pipeline.ingest.text import Damage, gzip_chunks, utf16_chunks
from pipeline.recipe import Input
from pipeline.recipe_file import found_path

SPLIT_BYTES = 64 << 20
LONGEST_HEADER = 16 << 20
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class Split:
    """A part of one file for one task: bytes [start, end) of a text file, row groups [start, end) of a Parquet file.

    ``columns`` are the names in the file's header (text formats). ``encoding`` is that of a text file that is not in
    UTF-8; its places are those of the text in UTF-8. ``damage`` says why nothing of the file can be read.
    """

    path: str
    format: str
    start: int
    end: int
    columns: tuple[str, ...] = ()
    data_start: int = 0
    encoding: str | None = None
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
    schemas = [(split.path, schema) for split, schema in readable if split.format != "jsonl"]
    for path, schema in schemas:
        check_columns(path, schema, preset, options.pass_through)
    passed = passed_schema(options.pass_through, schemas, len(schemas) < len(readable))
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
        return _open_text(split, preset)
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException, Damage) as error:
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


def _open_text(split: Split, preset: Preset) -> tuple[Split, pa.Schema]:
    """Reads the first line: the header, or, of a preset without one, a first row whose URL must be a URL.

    JSON lines have none of both, so that there only the encoding is looked at.
    """
    filesystem, inner = storage.open_filesystem(split.path)
    with filesystem.open_input_file(inner) as file:
        packed = storage.base_name(split.path).lower().endswith(".gz")
        chunks = gzip_chunks(file, 0) if packed else iter(lambda: file.read(1 << 16), b"")
        try:
            first = next(chunks, b"")
        except Damage:
            if split.format == "jsonl":
                return split, pa.schema({})  # The reader counts it.
            raise
        encoding = _encoding(split.path, first)
        split = replace(split, encoding=encoding)
        if split.format == "jsonl":
            return replace(split, data_start=3 if encoding else 0), pa.schema({})
        again = itertools.chain([first], chunks)
        line = _first_line(utf16_chunks(again, encoding, 0) if encoding else again)
    bom = 3 if line.startswith(codecs.BOM_UTF8) else 0
    names = preset.names
    values = _parse_line(line[bom:], split.format)
    if names is None:
        columns, data_start = tuple(values), len(line)
    else:
        columns, data_start = names, bom
        where = names.index(preset.columns["url"])
        if values and (len(values) != len(names) or "//" not in values[where]):
            raise UsageError(
                f"input.preset: {split.path}: the first row has no URL in column {where + 1} "
                f"(found {(values[where] if where < len(values) else values[0])[:60]!r}); "
                f"allowed: {', '.join(names)} without header"
            )
    return replace(split, columns=columns, data_start=data_start), pa.schema([(name, pa.string()) for name in columns])


def _encoding(path: str, start: bytes) -> str | None:
    """The encoding that a text file names in its first bytes, or None for UTF-8."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UsageError(f"--input {path}: is in UTF-32; allowed: UTF-8, or UTF-16 with its mark")
    return next((name for mark, name in UTF16.items() if start.startswith(mark)), None)


def _first_line(chunks: Iterator[bytes]) -> bytes:
    """The first line with its end, which is a line feed, or a carriage return with or without one."""
    held = b""
    for chunk in chunks:
        held += chunk
        if found := re.search(rb"\r\n?|\n", held):
            # After a carriage return at the very end a line feed may come; a line of nothing is none then.
            return held[: found.end()]
        if len(held) > LONGEST_HEADER:
            raise Damage(f"a first line of more than {LONGEST_HEADER >> 20} MiB")
    return held


def _parse_line(line: bytes, form: str) -> list[str]:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not text.strip():
        return []
    return text.split("\t") if form == "tsv" else next(csv.reader([text]))


def _cut(split: Split, options: Input) -> list[Split]:
    """Cuts a readable file: Parquet by row group, text at byte offsets; gz, UTF-16 and multi-line CSV stay whole."""
    if split.damage:
        return [split]
    if split.format == "parquet":
        return [replace(split, start=i, end=i + 1) for i in range(split.end)] or [split]
    if (
        storage.base_name(split.path).lower().endswith(".gz")
        or split.encoding
        or (split.format == "csv" and options.multiline)
    ):
        return [replace(split, start=split.data_start)]
    starts = range(split.data_start, max(split.end, split.data_start + 1), SPLIT_BYTES)
    return [replace(split, start=at, end=min(split.end, at + SPLIT_BYTES)) for at in starts]
