"""Loads entry lists: text (plain, gz, zst), a JSON array, or Parquet with an ``entry`` column.

The id of an entry is its place in order of first occurrence; blank ones and repeats are counted and take no id. Where a
Parquet file has ids of its own, ``entry_id``, those hold.
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from pipeline.errors import UsageError
from pipeline.language.codes import spelled
from pipeline.recipe import Recipe
from pipeline.recipe_file import local_path

MANIFEST = "manifest"  # of the lists of a folder, as JSON
SUFFIXES = (".txt", ".txt.gz", ".txt.zst", ".json", ".parquet")
WHITE_SPACE = "".join(character for character in map(chr, range(1 << 16)) if character.isspace())


@dataclass(frozen=True)
class EntryList:
    """A list's name, its entries (a string array; the index is the entry id), and what was left out of the file."""

    name: str
    entries: pa.Array
    blank: int
    repeated: int


def load_lists(recipe: Recipe) -> dict[str, EntryList]:
    """Every entry list of a recipe by name, sorted by name. ``UsageError`` where a file is missing or is no list."""
    files = _files(recipe)
    if isinstance(recipe.entries, str):
        if not files:
            raise UsageError(
                f"entries: no entry list in {recipe.entries}; put yours there as LANGUAGE.txt "
                f"(also {', '.join(SUFFIXES[1:])}), or give --set entries=FOLDER"
            )
        if recipe.language.identify == "none" and len(files) != 1:
            raise UsageError(f"entries: language.identify none needs exactly one list, found {len(files)}")
    loaded = {}
    for one, other in pairwise(sorted(files, key=lambda name: (spelled(name), name))):
        if spelled(one) == spelled(other):
            raise UsageError(f"entries: two lists of one language, {one} and {other}; one is allowed")
    for name, path in sorted(files.items()):
        if not local_path(path).is_file():
            raise UsageError(
                f"entries.{name}: {path} not found; give your entry list with --set entries.{name}=FILE "
                f"({', '.join(SUFFIXES)}; one entry a line)"
            )
        loaded[name] = load_list(name, local_path(path))
    return loaded


def list_names(recipe: Recipe) -> list[str]:
    """The names of a recipe's entry lists, sorted, without a look into them; none where the folder is not there."""
    return sorted(_files(recipe))


def list_digests(recipe: Recipe) -> dict[str, str]:
    """The SHA-256 of the files of a recipe's entry lists, by name; none unless all are there."""
    files = {name: local_path(path) for name, path in sorted(_files(recipe).items())}
    if not all(file.is_file() for file in files.values()):
        return {}
    return {name: f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for name, file in files.items()}


def _files(recipe: Recipe) -> dict[str, str]:
    return _lists_in_folder(recipe.entries) if isinstance(recipe.entries, str) else recipe.entries


def load_list(name: str, path: Path) -> EntryList:
    """The list in a file. Raises ``UsageError`` naming the file where it cannot be read as a list, or is empty."""
    given = _read_strings(path, "entries", "entry")
    kept = given.filter(pc.invert(_blank(given)))
    entries = kept.unique()
    if len(entries) == 0:
        raise UsageError(f"entries.{name}: {path} holds no entry")
    return EntryList(name, entries, blank=len(given) - len(kept), repeated=len(kept) - len(entries))


def _lists_in_folder(folder: str) -> dict[str, str]:
    """Language to file of a folder of lists named ``LANGUAGE.suffix``."""
    path = local_path(folder)
    found: dict[str, str] = {}
    for file in sorted(path.iterdir()) if path.is_dir() else []:
        suffix = _suffix(file)
        name = file.name[: -len(suffix)] if suffix else ""
        if name == MANIFEST:
            continue
        if suffix and name in found:
            raise UsageError(f"entries: two lists {name} in {folder}: {Path(found[name]).name}, {file.name}")
        if suffix:
            found[name] = str(file)
    return found


def _suffix(path: Path) -> str | None:
    """The ending that says what kind of list a file is, in lower case."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def read_texts(path: Path, where: str = "entries", column: str = "entry") -> list[str]:
    """The texts of a list file, in order; of Parquet those of ``column``. ``where`` is the key that named the file."""
    return _read_strings(path, where, column).to_pylist()


def _read_strings(path: Path, where: str, column: str) -> pa.Array:
    if path.suffix.lower() == ".parquet":
        texts = list_table(path, where, column, ["entry_id", column])[column]
        return pc.fill_null(texts, "").combine_chunks()
    return pa.array(_read_lines(path, where), pa.string())


def _blank(texts: pa.Array) -> pa.BooleanArray:
    """Whether each text is white space alone, by ``str.isspace``, or empty."""
    return pc.match_substring_regex(texts, f"^[{WHITE_SPACE}]*$")


def _read_lines(path: Path, where: str) -> list[str]:
    try:
        content = decompress(path)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UsageError(f"{where}: {path}: {error}") from None
    if path.suffix.lower() == ".json":
        return _read_json(path, where, content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{where}: {path}: line {line} is not UTF-8") from None
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def decompress(path: Path) -> bytes:
    """The content of a file, plain, gz or zst."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path) as file:
            return file.read()
    if path.suffix.lower() == ".zst":
        with zstandard.open(path, "rb") as file:
            return file.read()
    return path.read_bytes()


def _read_json(path: Path, where: str, content: bytes) -> list[str]:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where}: {path}: not JSON: {error}") from None
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UsageError(f"{where}: {path}: a JSON array of strings is allowed")
    return value


def list_table(path: Path, where: str = "entries", column: str = "entry", columns: list[str] | None = None) -> pa.Table:
    """A Parquet file with a column of texts, all columns or some; a list with ``entry_id`` in the order of its ids.

    Integers become texts. Raises ``UsageError`` for a column of another type, and for ids that are not 0 to n - 1, each
    once and with an entry of its own.
    """
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        if column not in names:
            raise UsageError(f"{where}: {path}: no column {column}; it has {', '.join(names)}")
        table = file.read([name for name in names if columns is None or name in columns])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # also names of columns
        raise UsageError(f"{where}: {path}: not Parquet: {str(error).splitlines()[0]}") from None
    texts = _as_texts(table[column], f"{where}: {path}: column {column}")
    table = table.set_column(table.schema.names.index(column), column, texts)
    return _in_order_of_ids(table, f"{where}: {path}") if column == "entry" and "entry_id" in names else table


def _as_texts(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        # What is not checked on reading is checked on the way from bytes.
        kind = pa.large_binary()
    elif not (pa.types.is_integer(kind) or pa.types.is_null(kind) or kind in (pa.binary(), pa.large_binary())):
        raise UsageError(f"{where} is {kind}; strings, or integers, are allowed")
    try:
        return column.cast(kind).cast(pa.string())
    except pa.ArrowInvalid:
        raise UsageError(f"{where} holds bytes that are not UTF-8") from None


def _in_order_of_ids(table: pa.Table, where: str) -> pa.Table:
    if not pa.types.is_integer(table["entry_id"].type):
        raise UsageError(f"{where}: entry_id is {table['entry_id'].type}; integers are allowed")
    table = table.sort_by("entry_id")
    count = table.num_rows
    if table["entry_id"].null_count or not np.array_equal(table["entry_id"].to_numpy(), np.arange(count)):
        raise UsageError(
            f"{where}: the ids in entry_id are not 0 to {count - 1}, each once; without them, order counts"
        )
    texts = pc.fill_null(table["entry"], "").combine_chunks()
    if (number := pc.index(_blank(texts), True).as_py()) >= 0:
        raise UsageError(f"{where}: entry_id {number} has no entry; ids hold, so each needs one")
    if len(texts.unique()) < count:
        first: dict[str, int] = {}
        number, text = next((n, t) for n, t in enumerate(texts.to_pylist()) if first.setdefault(t, n) != n)
        raise UsageError(f"{where}: {text!r} has the ids {first[text]} and {number}; ids hold, so each needs its own")
    return table


def save_list(entries: list[str] | pa.Table, path: Path) -> None:
    """Writes a list by its file's name: Parquet, JSON array, or text (plain, gz, zst), an entry a line.

    Raises ``UsageError`` for another name, and for an entry with a line end in a text file.
    """
    table = entries if isinstance(entries, pa.Table) else None
    texts = table["entry"].to_pylist() if table is not None else entries
    suffix = _suffix(path)
    if suffix is None:
        raise UsageError(f"{path}: allowed names end in {', '.join(SUFFIXES)}")
    if suffix == ".parquet":
        ids = pa.array(range(len(texts)), pa.int32())
        plain = pa.table({"entry_id": ids, "entry": pa.array(texts, pa.string())})
        pq.write_table(plain if table is None else table, path, compression="zstd")
        return
    if suffix == ".json":
        path.write_bytes(orjson.dumps(texts))
        return
    if broken := [text for text in texts if "\n" in text or "\r" in text]:
        raise UsageError(f"{path}: entry {broken[0]!r} has a line end; write .json or .parquet")
    content = "".join(f"{text}\n" for text in texts).encode()
    pack = {".txt.gz": lambda: gzip.compress(content, mtime=0), ".txt.zst": lambda: zstandard.compress(content)}
    path.write_bytes(pack.get(suffix, lambda: content)())
