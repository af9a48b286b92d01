"""The records of a crawl file (WARC 1.0 and 1.1; gzip, zstd or plain, by what is in it), and what is wrong with it.

FastWARC reads; a file that is cut short or broken gives the records before that.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecord

GZIP, ZSTD, WARC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"WARC/"
# A frame with the dictionary of all others (IIPC, "Zstandard Compression for WARC Files 1.0").
DICTIONARY = b"\x5d\x2a\x4d\x18"
MOST_DICTIONARY = 64 << 20
CUT_SHORT, NO_RECORD = "ends too early", "has no WARC record"
# What a record may take beyond its page: headers, and JSON around the page's links.
MORE = 1 << 20
BLOCK, PACKED_BLOCK = 1 << 20, 1 << 14


class Records:
    """The records of a seekable stream, each with its content, the last perhaps with a part of it.

    ``damage`` says at the end why not all were read.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int):
        self.stream = stream
        self.most_bytes = most_bytes + MORE
        self.damage: str | None = None

    def __iter__(self) -> Iterator[tuple[WarcRecord, bytes | None]]:
        """Each record and its content, None where that is longer than allowed."""
        try:
            start = self.stream.read(len(WARC))
            self.stream.seek(0)
        except OSError as error:
            self.damage = " ".join(str(error).split())
            return
        if not start:
            self.damage = "is empty"
        elif not start.startswith((GZIP, ZSTD, WARC, DICTIONARY)):
            self.damage = f"is no WARC file: begins with {start!r}"
        if self.damage:
            return
        last = None
        try:
            stream = self._with_dictionary() if start.startswith(DICTIONARY) else self.stream
            for record in ArchiveIterator(stream, parse_http=False, quirks_mode=True):
                if record.content_length > self.most_bytes:
                    yield record, None
                    last = record.stream_pos
                    continue
                content = record.reader.read()
                yield record, content
                if len(content) < record.content_length:
                    self.damage = CUT_SHORT
                    return
                last = record.stream_pos
        except (OSError, ValueError, zstandard.ZstdError) as error:
            self.damage = " ".join(str(error).split())
            return
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of Rust, which nobody can import
                raise
            self.damage = f"cannot be read by FastWARC: {' '.join(str(error).split())}"
            return
        self.damage = self._at_the_end(start, last)

    def _with_dictionary(self) -> "_Frames":
        """The records behind a dictionary, unpacked. Raises ``ZstdError`` or ``ValueError`` for one that is none."""
        size = int.from_bytes(self.stream.read(8)[4:], "little")
        if size > MOST_DICTIONARY:
            raise ValueError(f"has a dictionary of {size:,} bytes")
        content = self.stream.read(size)
        if content.startswith(ZSTD):
            content = zstandard.ZstdDecompressor().decompress(content, max_output_size=MOST_DICTIONARY)
        unpacker = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(content))
        return _Frames(self.stream, unpacker)

    def _at_the_end(self, start: bytes, last: int | None) -> str | None:
        """What FastWARC does not tell: that the file ends in the middle of a gzip member, or before a first record."""
        if start.startswith(GZIP) and not self._whole_members(last or 0):
            return CUT_SHORT
        return NO_RECORD if last is None else None

    def _whole_members(self, offset: int) -> bool:
        """Whether gzip members from the one at ``offset`` (of the last record) end with the file."""
        self.stream.seek(offset)
        if self.stream.read(len(GZIP)) != GZIP:
            offset = 0  # All records are in one member.
        self.stream.seek(offset)
        left = b""
        while left or (left := self.stream.read(BLOCK)):
            member = zlib.decompressobj(31)
            try:
                while not member.eof:
                    member.decompress(left)
                    if not member.eof and not (left := self.stream.read(BLOCK)):
                        return False
            except zlib.error:
                return False
            left = member.unused_data.lstrip(b"\0")  # Some writers fill up with zeros.
        return True


class _Frames:
    """The content of zstd frames one after the other: what FastWARC needs of a file, and no ``seek``."""

    def __init__(self, packed: BinaryIO, unpacker: zstandard.ZstdDecompressor):
        self.packed, self.unpacker = packed, unpacker
        self.frame, self.ready, self.place = None, memoryview(b""), 0

    def tell(self) -> int:
        """The bytes that were read."""
        return self.place

    def read(self, size: int) -> bytes:
        """Up to so many bytes. Raises ``OSError`` where the last frame ends too early."""
        while not self.ready:
            ended = self.frame is None or self.frame.eof
            block = (self.frame.unused_data if self.frame and ended else b"") or self.packed.read(PACKED_BLOCK)
            if not block:
                if ended:
                    return b""
                raise OSError(CUT_SHORT)
            if ended:
                self.frame = self.unpacker.decompressobj()
            self.ready = memoryview(self.frame.decompress(block))
        part, self.ready = self.ready[:size], self.ready[size:]
        self.place += len(part)
        return bytes(part)
