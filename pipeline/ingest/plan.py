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
from pipeline.buckets.keys import bucket_count, part_count
from pipeline.errors import PipelineError, UsageError
from pipeline.ingest.passed import check_columns, passed_schema
from pipeline.ingest.presets import Preset, resolve
from pipeline.ingest.splits import OpenedFile, Split
from pipeline.ingest.text import Damage, gzip_chunks, utf16_chunks
from pipeline.recipe import Input
from pipeline.recipe_file import found_path
from pipeline.tombstones.table import Stored

# A pool is cut into about so many splits, each of a size between these two.
SPLITS, LEAST_BYTES, MOST_BYTES = 16, 1 << 20, 128 << 20
# Fewer splits than so many, which are large row groups, are cut into at most so many pieces each.
FEW, PIECES = 8, 4
# So many files are opened before anything starts; what is in the others is seen by the tasks that read them.
OPENED = 1000
# To open a file costs about as much as to read so much of it.
FILE_BYTES = 1 << 16
TEXT_ROW_BYTES, GZIP_RATIO = 80, 3
LONGEST_HEADER = 16 << 20
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl"}


@dataclass(frozen=True)
class Plan:
    """The splits of an input, where fields come from, the pass-through columns, (path, bytes, mtime) of its files.

    ``rows`` and ``size`` are about those of the pool, by what its files say; ``split_bytes``: what a task is to read.
    ``known``: those of the files that were read before, and have no splits; ``least_buckets``: those of their table;
    ``tombstones``: of what is not to come in again.
    """

    splits: tuple[Split, ...]
    preset: Preset
    passed: pa.Schema
    files: tuple[tuple[str, int, int], ...]
    rows: int = 0
    size: int = 0
    split_bytes: int = MOST_BYTES
    tombstones: Stored | None = None
    known: tuple[tuple[str, int, int], ...] = ()
    least_buckets: int = 1

    @property
    def buckets(self) -> int:
        """The number of files of ``pairs``."""
        return max(self.least_buckets, bucket_count(self.rows, self.size))

    @property
    def parts(self) -> int:
        """The parts in which a bucket's rows are handed over."""
        return part_count(self.rows, self.buckets)

    def items(self) -> list[list[Split]]:
        """The splits that a task each reads: small ones together."""
        found: list[list[Split]] = [[]]
        held = 0
        for split in self.splits:
            if found[-1] and held + split.size > self.split_bytes:
                found.append([])
                held = 0
            found[-1].append(split)
            held += split.size + FILE_BYTES * split.first
        return found


def plan(options: Input, language_column: bool, before: tuple[str, pa.Schema] | None = None) -> Plan:
    """Plans the reading of an input. Raises ``UsageError`` for what the user has to mend.

    ``before``: the path and schema of a table that the rows are added to; its columns count as those of a file.
    """
    files = find_files(options.paths)
    preset = resolve(options.preset, options.columns, language_column)
    total = sum(size for _, size, _ in files)
    split_bytes = min(MOST_BYTES, max(LEAST_BYTES, total // SPLITS))
    looked = files if options.pass_through else files[:: -(-len(files) // OPENED)]
    with ThreadPoolExecutor(16) as pool:
        opened = dict(
            zip(looked, pool.map(lambda file: open_file(file[0], file[1], options, preset), looked), strict=True)
        )
    readable = [found for found in opened.values() if found.schema is not None]
    if not readable:
        first = opened[looked[0]].split
        raise PipelineError(f"--input: no file can be read; the first: {first.path}: {first.damage}")
    schemas = [(found.split.path, found.schema) for found in readable if found.split.format != "jsonl"]
    for path, schema in schemas:
        check_columns(path, schema, preset, options.pass_through)
    typed = [before, *schemas] if before else schemas
    passed = passed_schema(options.pass_through, typed, len(schemas) < len(readable))
    unopened = [
        Split(path, format_of(path, options.format), 0, size, size=size, opened=False) for path, size, _ in files
    ]
    splits = [
        part
        for file, whole in zip(files, unopened, strict=True)
        for part in (opened[file].cut(options, split_bytes) if file in opened else [whole])
    ]
    if len(splits) < FEW:
        splits = [piece for split in splits for piece in split.pieces(min(PIECES, -(-FEW // len(splits))), split_bytes)]
    share = total / max(1, sum(size for _, size, _ in looked))
    rows, size = (round(share * sum(getattr(found, of) for found in opened.values())) for of in ("rows", "size"))
    return Plan(tuple(splits), preset, passed, tuple(files), rows, size, split_bytes)


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


def open_file(path: str, size: int, options: Input, preset: Preset) -> OpenedFile:
    """What a look at the footer, or the first line, of a file shows."""
    form = format_of(path, options.format)
    split = Split(path, form, 0, size, size=size)
    try:
        if form == "parquet":
            filesystem, inner = storage.open_filesystem(path)
            with filesystem.open_input_file(inner) as file:
                metadata = pq.read_metadata(file)
                groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
                packed = [
                    sum(group.column(i).total_compressed_size for i in range(group.num_columns)) for group in groups
                ]
                return OpenedFile(
                    replace(split, end=metadata.num_row_groups), metadata.schema.to_arrow_schema(), metadata.num_rows,
                    sum(group.total_byte_size for group in groups), tuple(packed),
                )  # fmt: skip
        found, schema = _open_text(split, preset)
        unpacked = size * (GZIP_RATIO if storage.base_name(path).lower().endswith(".gz") else 1)
        return OpenedFile(found, schema, unpacked // TEXT_ROW_BYTES, unpacked)
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException, UnicodeDecodeError, Damage) as error:
        return OpenedFile(replace(split, damage=str(error).splitlines()[0]), None)


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
