"""Crawl files as FastWARC can read them: zstd frames with a dictionary unpacked, names of header fields in its case."""

import re
from typing import BinaryIO

import zstandard

CUT_SHORT = "ends too early"
PACKED_BLOCK = 1 << 14
HEADER_END = re.compile(rb"\r?\n\r?\n")
RECORD = b"WARC/"
LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
MOST_HEADER = 1 << 20


class Frames:
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


class Renamed:
    """The content of an unpacked crawl file with some header fields of records renamed."""

    def __init__(self, stream: BinaryIO, names: dict[str, str]):
        """``names``: those fields, in lower case, with the names that they get."""
        self.stream, self.place = stream, 0
        self.names = {name.encode(): other.encode() for name, other in names.items()}
        self.fields = re.compile(rf"^({'|'.join(names)})(?=[ \t]*:)".encode(), re.IGNORECASE | re.MULTILINE)
        # What was read ahead; and how much of it, and of what follows, is passed on as it is.
        self.held, self.passing = b"", 0

    def tell(self) -> int:
        """The bytes that were read."""
        return self.place

    def read(self, size: int) -> bytes:
        """Up to so many bytes."""
        if not self.passing:
            self._header()
        if not self.held:
            self.held = self.stream.read(PACKED_BLOCK)
        part = self.held[: min(size, self.passing)]
        self.held = self.held[len(part) :]
        self.passing -= len(part)
        self.place += len(part)
        return part

    def _header(self) -> None:
        """Looks for a header in what follows, renames its fields, and has it passed on with its content."""
        while True:
            begin = len(self.held) - len(self.held.lstrip(b"\r\n"))
            end = HEADER_END.search(self.held, begin)
            if end or len(self.held) > MOST_HEADER or not (more := self.stream.read(PACKED_BLOCK)):
                break
            self.held += more
        if end is None or not self.held.startswith(RECORD, begin):
            self.passing = self.held.find(b"\n" + RECORD, begin) + 1 or len(self.held)
            return
        header, rest = self.held[: end.start()], self.held[end.start() :]
        header = self.fields.sub(lambda found: self.names[found[1].lower()], header)
        length = LENGTH.search(header)
        self.passing = len(header) + len(end[0]) + (int(length[1]) if length else 0)
        self.held = header + rest
