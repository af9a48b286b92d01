"""The records of a crawl file (WARC 1.0 and 1.1; gzip, zstd or plain, by what is in it), and what is wrong with it.

FastWARC reads; a file that is cut short or broken gives the records before that.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

import zstandard
from fastwarc.stream_io import GzipReader, ZstdReader
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from pipeline.extract.streams import CUT_SHORT, Frames, Renamed

GZIP, ZSTD, WARC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"WARC/"
# A frame with the dictionary of all others (IIPC, "Zstandard Compression for WARC Files 1.0").
DICTIONARY = b"\x5d\x2a\x4d\x18"
MOST_DICTIONARY = 64 << 20
NO_RECORD = "has no WARC record"
# What a record may take beyond its page: headers, and JSON around the page's links.
MORE = 1 << 20
BLOCK = 1 << 20
# The names that FastWARC reads in this case alone.
NAMES = {"content-length": "Content-Length", "warc-type": "WARC-Type"}


class Place(NamedTuple):
    """How far a file was read: the number of the last record, where it begins in the file, a hash of its header.

    Where records are packed together the beginning is not its own; then the hash tells.
    """

    number: int = -1
    offset: int = 0
    header: str = ""


BEGINNING = Place()


class Records:
    """The records of a seekable stream ``after`` a place, each with its number and content, the last perhaps cut short.

    ``damage`` says at the end why not all were read. Records are read again up to the place where they cannot be
    begun with in the middle.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int, after: Place = BEGINNING):
        self.stream = stream
        self.most_bytes = most_bytes + MORE
        self.after = after
        self.damage: str | None = None
        self.number, self.record, self.last, self.renamed = after.number, None, None, False

    @property
    def place(self) -> Place:
        """How far the file was read."""
        if self.record is None:
            return self.after
        return Place(self.number, self.record.stream_pos, _header_hash(self.record))

    def __iter__(self) -> Iterator[tuple[int, WarcRecord, bytes | None]]:
        """Number, record and content, None where that is longer than allowed."""
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
        try:
            for number, record in self._behind_place(start):
                self.number, self.record = number, record
                if record.content_length > self.most_bytes:
                    yield number, record, None
                    self.last = record.stream_pos
                    continue
                content = record.reader.read()
                yield number, record, content
                if len(content) < record.content_length:
                    self.damage = CUT_SHORT
                    return
                self.last = record.stream_pos
        except (OSError, ValueError, zstandard.ZstdError) as error:
            self.damage = " ".join(str(error).split())
            return
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of Rust, which nobody can import
                raise
            self.damage = f"cannot be read by FastWARC: {' '.join(str(error).split())}"
            return
        self.damage = self._at_the_end(start)

    def _behind_place(self, start: bytes) -> Iterator[tuple[int, WarcRecord]]:
        """Records by number, from the place on where it can be found, else from the first on."""
        after = self.after
        if after.offset and not start.startswith(DICTIONARY):
            self.stream.seek(after.offset)
            if self.stream.read(len(start)).startswith(start[: len(GZIP)]):
                self.stream.seek(after.offset)
                records = self._numbered(self.stream, after.number)
                if (found := next(records, None)) and _header_hash(found[1]) == after.header:
                    self.last = after.offset
                    yield from records
                    return
            self.stream.seek(0)
        yield from self._numbered(self._with_dictionary() if start.startswith(DICTIONARY) else self.stream, 0)

    def _numbered(self, stream: BinaryIO | Frames, first: int) -> Iterator[tuple[int, WarcRecord]]:
        """The records of a stream by number. FastWARC knows some header fields in one case alone; it gets them so."""
        begin, number = stream.tell(), first
        for number, record in enumerate(_records(stream), first):
            if _is_misread(record):
                break
            yield number, record
        else:
            return
        if isinstance(stream, Frames):
            raise ValueError("has a dictionary, and names of header fields in an unusual case")
        stream.seek(begin)
        start = stream.read(len(WARC))
        stream.seek(begin)
        self.renamed = True
        reader = {GZIP[:1]: GzipReader, ZSTD[:1]: ZstdReader}.get(start[:1])
        renamed = Renamed(reader(stream) if reader else stream, NAMES)
        yield from enumerate(islice(_records(renamed), number - first, None), number)

    def _with_dictionary(self) -> Frames:
        """The records behind a dictionary, unpacked. Raises ``ZstdError`` or ``ValueError`` for one that is none."""
        size = int.from_bytes(self.stream.read(8)[4:], "little")
        if size > MOST_DICTIONARY:
            raise ValueError(f"has a dictionary of {size:,} bytes")
        content = self.stream.read(size)
        if content.startswith(ZSTD):
            content = zstandard.ZstdDecompressor().decompress(content, max_output_size=MOST_DICTIONARY)
        unpacker = zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(content))
        return Frames(self.stream, unpacker)

    def _at_the_end(self, start: bytes) -> str | None:
        """What FastWARC does not tell: that the file ends in the middle of a gzip member, or before a first record."""
        if start.startswith(GZIP) and not self._whole_members(0 if self.renamed else self.last or 0):
            return CUT_SHORT
        return NO_RECORD if self.last is None else None

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


def _records(stream: BinaryIO | Frames | Renamed) -> ArchiveIterator:
    return ArchiveIterator(stream, parse_http=False, quirks_mode=True)


def _is_misread(record: WarcRecord) -> bool:
    """Whether a record has a name of ``NAMES`` in another case."""
    if record.content_length and record.record_type != WarcRecordType.no_type:
        return False
    return any(name not in NAMES.values() and name.lower() in NAMES for name, _ in record.headers.items())


def _header_hash(record: WarcRecord) -> str:
    return hashlib.sha256(json.dumps(list(record.headers.items())).encode("utf-8", "replace")).hexdigest()
