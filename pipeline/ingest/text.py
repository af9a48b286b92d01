"""Text files in blocks of whole lines, plain or gzip, and their rows.

``Rows`` gives byte blocks that end at line ends, and says where a gzip ends too early: what came before the cut is
kept. ``delimited_batches`` and ``json_batches`` make of them Arrow columns of bytes, not yet checked for UTF-8.
"""

import zlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import orjson
import pyarrow as pa
import pyarrow.csv as pacsv

BLOCK_BYTES = 8 << 20
LONGEST_LINE = 256 << 20


class Damage(Exception):
    """A file ends too early or is not what it says; ``partial`` is 1 where a row was cut in two."""

    def __init__(self, message: str, partial: int = 0):
        super().__init__(message)
        self.partial = partial


def blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Byte chunks regrouped into blocks of whole lines; the last may lack its line end.

    Raises ``Damage`` after the last whole line, where the chunks do.
    """
    held: list[bytes] = []
    size = 0
    try:
        for chunk in chunks:
            end = chunk.rfind(b"\n") + 1
            if end:
                yield b"".join([*held, chunk[:end]])
                held, size = [chunk[end:]], len(chunk) - end
            else:
                held.append(chunk)
                size += len(chunk)
            if size > LONGEST_LINE:
                raise Damage(f"a line of more than {LONGEST_LINE >> 20} MiB", partial=1)
    except Damage as damage:
        raise Damage(str(damage), partial=int(size > 0)) from None
    if size:
        yield b"".join(held)


def plain_chunks(file: BinaryIO, start: int, end: int, data_start: int) -> Iterator[bytes]:
    """The lines that begin in bytes [start, end) of a seekable file, as chunks.

    A line belongs to the split in which its first byte lies, so splits that meet share no line and lose none.
    """
    position = start
    if start > data_start:
        # Whether a line begins at `start` shows in the byte before it.
        file.seek(start - 1)
        position = start - 1
        while True:
            chunk = file.read(1 << 16)
            if not chunk:
                return
            found = chunk.find(b"\n")
            if found >= 0:
                position += found + 1
                break
            position += len(chunk)
    if position >= end:
        return
    file.seek(position)
    while position < end:
        chunk = file.read(min(BLOCK_BYTES, end - position))
        if not chunk:
            return
        position += len(chunk)
        yield chunk
    if chunk.endswith(b"\n"):
        return
    while chunk := file.read(1 << 16):  # the rest of the line that began in this split
        found = chunk.find(b"\n")
        if found >= 0:
            yield chunk[: found + 1]
            return
        yield chunk


def gzip_chunks(file: BinaryIO, skip: int) -> Iterator[bytes]:
    """The content of a gzip file (any number of members) without its first ``skip`` bytes.

    Raises ``Damage`` where the file ends inside a member or is not gzip any more, after giving what came before.
    """
    inflate, begun = zlib.decompressobj(wbits=31), False
    while raw := file.read(1 << 16):
        while raw:
            if not begun:
                raw = raw.lstrip(b"\0")  # padding between members
            if not raw:
                break
            begun = True
            try:
                data = inflate.decompress(raw)
            except zlib.error as error:
                raise Damage(f"gzip: {error}") from None
            if skip:
                data, skip = data[skip:], max(0, skip - len(data))
            if data:
                yield data
            raw = inflate.unused_data
            if inflate.eof:
                inflate, begun = zlib.decompressobj(wbits=31), False
    if begun:
        raise Damage("gzip: the file ends before its end mark")


class Rows(Iterator[bytes]):
    """Chunks as a file that pyarrow reads from, ending quietly at damage, at the last whole line before it."""

    def __init__(self, chunks: Iterator[bytes]):
        self.blocks, self.buffer, self.closed = blocks(chunks), b"", False
        self.damage: Damage | None = None

    def __next__(self) -> bytes:
        try:
            return next(self.blocks)
        except Damage as damage:
            self.damage = damage
            raise StopIteration from None

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size``; empty at the end."""
        while not self.buffer:
            try:
                self.buffer = next(self)
            except StopIteration:
                return b""
        taken = len(self.buffer) if size < 0 else size
        piece, self.buffer = self.buffer[:taken], self.buffer[taken:]
        return piece

    def readable(self) -> bool:
        """True, as of a file."""
        return True

    def close(self) -> None:
        """Nothing to do."""
        self.closed = True


def delimited_batches(
    source: Rows, columns: tuple[str, ...], tsv: bool, multiline: bool, bad: Counter
) -> Iterator[pa.RecordBatch]:
    """Batches of bytes columns of a CSV or TSV source; rows with another number of columns are counted in ``bad``.

    TSV has no quoting; CSV has, with line ends inside quotes where ``multiline``.
    """

    def skip(row: pacsv.InvalidRow) -> str:
        bad["malformed_row"] += 1
        return "skip"

    parse = pacsv.ParseOptions(
        delimiter="\t" if tsv else ",",
        quote_char=False if tsv else '"',
        newlines_in_values=multiline and not tsv,
        invalid_row_handler=skip,
    )
    convert = pacsv.ConvertOptions(check_utf8=False, column_types={name: pa.binary() for name in columns})

    def read(block_size: int) -> pacsv.ReadOptions:
        return pacsv.ReadOptions(column_names=list(columns), use_threads=False, block_size=block_size)

    if multiline and not tsv:
        try:
            yield from pacsv.open_csv(pa.PythonFile(source, "r"), read(BLOCK_BYTES), parse, convert)
        except pa.ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise
        return
    for block in source:
        if block.strip():  # One parser block holds all of it, so a long line is no error.
            yield from pacsv.read_csv(pa.BufferReader(block), read(len(block) + 1), parse, convert).to_batches()


def json_batches(source: Rows, columns: list[str], bad: Counter) -> Iterator[pa.RecordBatch]:
    """Batches of a JSON-lines source: the named keys as bytes; a line that is no JSON object is counted in ``bad``."""
    for block in source:
        values: dict[str, list[bytes | None]] = {name: [] for name in columns}
        for line in block.split(b"\n"):
            if not line.strip():
                continue
            row = _json_object(line, bad)
            if row is not None:
                for name in columns:
                    values[name].append(_json_bytes(row.get(name)))
        yield pa.record_batch({name: pa.array(column, pa.binary()) for name, column in values.items()})


def _json_object(line: bytes, bad: Counter) -> dict | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        bad["malformed_row" if _is_utf8(line) else "invalid_utf8"] += 1
        return None
    if isinstance(row, dict):
        return row
    bad["malformed_row"] += 1
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json_bytes(value: object) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)
