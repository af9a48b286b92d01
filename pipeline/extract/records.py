"""The records of a crawl file (WARC 1.0 and 1.1; gzip, zstd or plain, by what is in it), and what is wrong with it.

FastWARC reads; a file that is cut short or broken gives the records before that.
"""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord

GZIP, ZSTD, WARC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"WARC/"
CUT_SHORT, NO_RECORD = "ends too early", "has no WARC record"
# What a record may take beyond its page: headers, and JSON around the page's links.
MORE = 1 << 20
BLOCK = 1 << 20


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
        start = self.stream.read(len(WARC))
        self.stream.seek(0)
        if not start:
            self.damage = "is empty"
        elif not start.startswith((GZIP, ZSTD, WARC)):
            self.damage = f"is no WARC file: begins with {start!r}"
        if self.damage:
            return
        last = None
        try:
            for record in ArchiveIterator(self.stream, parse_http=False, quirks_mode=True):
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
        except (OSError, ValueError) as error:
            self.damage = " ".join(str(error).split())
            return
        self.damage = self._at_the_end(start, last)

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
