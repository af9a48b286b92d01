"""The list of what is to go: a file of one value a line, or a column of a table, read a block at a time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.ingest.convert import as_url
from pipeline.tombstones.table import SCHEMA, Salt
from pipeline.tombstones.values import HOST, IMAGE_ID, KINDS, PAIR_ID, SHA256, TEXT, URL, hosts

KEY = "key"  # a shard's, another spelling of a pair_id
ASKED = (*KINDS, KEY)
BLOCK, ROWS = 16 << 20, 1 << 20
# What a line is taken for where it is not said: the first of these that it looks like, else a text.
FORMS = {
    SHA256: r"^[0-9a-fA-F]{64}$",
    IMAGE_ID: r"^[0-9a-fA-F]{24}$",
    KEY: r"^[0-9a-f]{16}$",
    PAIR_ID: r"^-?[0-9]{1,19}$",
    URL: r"^(\S*://\S+|//\S+)$",
    HOST: r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\.?|\[[0-9A-Fa-f:.]+\])$",
}
HOST_GIVEN = r"^[^\s/?#@\\]+$"


@dataclass(frozen=True)
class Asked:
    """``table``: the tombstones of the values; ``lines`` by kind, repeats and all."""

    table: pa.Table
    lines: Counter


def read_asked(path: str, kind: str | None, column: str | None, salt: Salt, removal: int) -> Asked:
    """The values of a file. ``kind``: what all are, else each is what it looks like.

    Raises ``UsageError`` for a file without values, and for a value that is not what it is said to be.
    """
    if kind is not None and kind not in ASKED:
        raise UsageError(f"--as {kind}: allowed are {', '.join(ASKED)}")
    if not storage.exists(path):
        raise UsageError(f"{path}: no such file")
    parts, lines = [SCHEMA.empty_table()], Counter()
    try:
        for values, named in _blocks(path, kind, column):
            for one, found in _by_kind(values, kind or named):
                lines[one] += len(found)
                parts.append(salt.made(*_in_one_form(path, one, found), removal))
    except (OSError, UnicodeDecodeError, pa.ArrowException, orjson.JSONDecodeError) as problem:
        raise UsageError(f"{path}: cannot be read: {' '.join(str(problem).split())}") from None
    if not lines:
        raise UsageError(f"{path}: has no values; one a line is read, or a column of Parquet, CSV or JSON lines")
    return Asked(pa.concat_tables(parts), lines)


def _by_kind(values: pa.Array, kind: str | None) -> Iterator[tuple[str, pa.Array]]:
    """The values that are not blank, by kind."""
    values = values.cast(pa.large_string()).drop_null()
    trimmed = pc.utf8_trim_whitespace(values)
    there = pc.not_equal(trimmed, "")
    values, trimmed = values.filter(there), trimmed.filter(there)
    if kind is not None:
        if len(values):
            yield kind, values if kind == TEXT else trimmed
        return
    for one, form in FORMS.items():
        is_one = pc.match_substring_regex(trimmed, form)
        if pc.any(is_one).as_py():
            yield one, trimmed.filter(is_one)
            others = pc.invert(is_one)
            values, trimmed = values.filter(others), trimmed.filter(others)
    if len(values):
        yield TEXT, values


def _in_one_form(path: str, kind: str, values: pa.Array) -> tuple[str, pa.Array]:
    """The kind of the tombstones, and the values as they are hashed. Raises ``UsageError`` for what is none."""
    if kind == URL:
        return kind, as_url(values.cast(pa.string()))
    if kind == HOST:
        _check(path, kind, values, HOST_GIVEN)
        found = hosts(pc.binary_join_element_wise("http://", values.cast(pa.string()), "/", ""))
        _check(path, kind, values, None, pc.not_equal(found, ""))
        return kind, found
    if kind in (IMAGE_ID, SHA256):
        _check(path, kind, values, FORMS[kind])
        return kind, pc.ascii_lower(values)
    if kind in (PAIR_ID, KEY):
        _check(path, kind, values, "^[0-9a-fA-F]{16}$" if kind == KEY else FORMS[kind])
        numbers = [int(value, 16 if kind == KEY else 10) for value in values.to_pylist()]
        if kind == KEY:
            numbers = [number - (number >> 63 << 64) for number in numbers]
        fits = [-(2**63) <= number < 2**63 for number in numbers]
        _check(path, kind, values, None, pa.array(fits))
        return PAIR_ID, pa.array(numbers, pa.int64()).cast(pa.string())
    return kind, values


def _check(path: str, kind: str, values: pa.Array, form: str | None, good: pa.Array | None = None) -> None:
    wrong = values.filter(pc.invert(pc.match_substring_regex(values, form) if form else good))
    if len(wrong):
        allowed = {SHA256: "64 hex digits", IMAGE_ID: "24 hex digits", KEY: "16 hex digits",
                   PAIR_ID: "numbers of 64 bits", HOST: "names of hosts, without scheme and path"}  # fmt: skip
        raise UsageError(f"{path}: {wrong[0].as_py()!r} is no {kind}: allowed are {allowed[kind]}")


def _blocks(path: str, kind: str | None, column: str | None) -> Iterator[tuple[pa.Array, str | None]]:
    """The values a block at a time, and the kind that the name of their column says."""
    name = storage.base_name(path).lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _of_parquet(path, kind, column)
    elif name.endswith((".csv", ".tsv")):
        yield from _of_csv(path, "\t" if name.endswith(".tsv") else ",", kind, column)
    elif name.endswith((".jsonl", ".ndjson")):
        yield from _of_json_lines(path, kind, column)
    elif column is not None:
        raise UsageError(f"--column: is for Parquet, CSV and JSON lines, found {path}")
    else:
        for lines in _lines(path):
            yield pa.array([line.decode() for line in lines], pa.large_string()), None


def _lines(path: str) -> Iterator[list[bytes]]:
    """The lines of a text, plain or .gz, without their ends."""
    filesystem, inner = storage.open_filesystem(path)
    rest, first = b"", True
    with filesystem.open_input_stream(inner, compression="gzip" if path.lower().endswith(".gz") else None) as file:
        while block := file.read(BLOCK):
            rest += block.removeprefix(b"\xef\xbb\xbf") if first else block
            first = False
            *lines, rest = rest.split(b"\n")
            yield [line.removesuffix(b"\r") for line in lines]
    yield [rest.removesuffix(b"\r")]


def _of_parquet(path: str, kind: str | None, column: str | None) -> Iterator[tuple[pa.Array, str | None]]:
    filesystem, inner = storage.open_filesystem(path)
    with pq.ParquetFile(filesystem.open_input_file(inner)) as file:
        name, named = _column(path, file.schema_arrow.names, kind, column)
        for batch in file.iter_batches(ROWS, columns=[name]):
            yield batch.column(0).cast(pa.large_string()), named


def _of_csv(path: str, delimiter: str, kind: str | None, column: str | None) -> Iterator[tuple[pa.Array, str | None]]:
    filesystem, inner = storage.open_filesystem(path)
    options = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    compression = "gzip" if path.lower().endswith(".gz") else None
    with filesystem.open_input_stream(inner, compression=compression) as file:
        reader = pacsv.open_csv(file, parse_options=options)
        names = reader.schema.names
    name, named = _column(path, names, kind, column)
    convert = pacsv.ConvertOptions(
        include_columns=[name], column_types={name: pa.large_string()}, strings_can_be_null=False
    )
    with filesystem.open_input_stream(inner, compression=compression) as file:
        for batch in pacsv.open_csv(file, parse_options=options, convert_options=convert):
            yield batch.column(0), named


def _of_json_lines(path: str, kind: str | None, column: str | None) -> Iterator[tuple[pa.Array, str | None]]:
    name = named = None
    for lines in _lines(path):
        rows = [orjson.loads(line) for line in lines if line.strip()]
        if odd := next((row for row in rows if not isinstance(row, dict | str | int)), None):
            raise UsageError(f"{path}: found {odd!r}; allowed are objects, texts and numbers, one a line")
        if rows and isinstance(rows[0], dict):
            if name is None:
                name, named = _column(path, list(rows[0]), kind, column)
            rows = [row.get(name) for row in rows]
        yield pa.array([None if row is None else str(row) for row in rows], pa.large_string()), named


def _column(path: str, names: list[str], kind: str | None, column: str | None) -> tuple[str, str | None]:
    """The column with the values, and what its name says they are."""
    if column is not None:
        if column not in names:
            raise UsageError(f"--column {column}: {path} has {', '.join(names)}")
        return column, column if column in ASKED else None
    if kind in names:
        return kind, kind
    known = [name for name in names if name in ASKED]
    if len(names) == 1 or len(known) == 1:
        name = known[0] if known else names[0]
        return name, name if name in ASKED else None
    raise UsageError(f"{path}: has the columns {', '.join(names)}; give one of them with --column")
