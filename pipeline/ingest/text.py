"""Text files in blocks of whole lines, plain or gzip, UTF-8 or UTF-16.

``Rows`` gives byte blocks that end at line ends, and says where a gzip ends too early: what came before the cut is
kept.
"""

import codecs
import zlib
from collections.abc import Iterator
from typing import BinaryIO

BLOCK_BYTES = 8 << 20
LONGEST_LINE = 256 << 20
SHRUNK = "the file is shorter than when the run began"


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

    A line belongs to the split in which its first byte lies, so splits that meet share no line and lose none. Raises
    ``Damage`` where the file is shorter by now.
    """
    position = start
    if start > data_start:
        # Whether a line begins at `start` shows in the byte before it.
        file.seek(start - 1)
        position = start - 1
        while True:
            chunk = file.read(1 << 16)
            if not chunk:
                if position < end:
                    raise Damage(SHRUNK)
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
            raise Damage(SHRUNK)
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


def utf16_chunks(chunks: Iterator[bytes], encoding: str, skip: int) -> Iterator[bytes]:
    """Chunks of UTF-16 (``encoding`` says of which byte order) as UTF-8, without its first ``skip`` bytes.

    Half of a surrogate pair comes out as bytes that are not UTF-8, so its row is counted as such.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        data = decoder.decode(chunk).encode("utf-8", "surrogatepass")
        if skip:
            data, skip = data[skip:], max(0, skip - len(data))
        if data:
            yield data
    if decoder.getstate()[0]:
        raise Damage("UTF-16: the file ends within a character")


class Rows(Iterator[bytes]):
    """Chunks as blocks of whole lines, ending quietly at damage, at the last whole line before it."""

    def __init__(self, chunks: Iterator[bytes]):
        self.blocks = blocks(chunks)
        self.damage: Damage | None = None

    def __next__(self) -> bytes:
        try:
            return next(self.blocks)
        except Damage as damage:
            self.damage = damage
            raise StopIteration from None
