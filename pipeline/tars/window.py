"""Reading a file on and on in small pieces: it is read ahead, so that a piece costs no call of the file system."""

import io
from collections.abc import Callable
from typing import Protocol

import pyarrow as pa
import pyarrow.fs as pafs

AHEAD_LOCAL, AHEAD_REMOTE = 1 << 18, 1 << 23
KEPT = 1 << 20  # bytes of a stream behind where it is read, for who goes back a little


class Readable(Protocol):
    """What a stream is read by."""

    def read(self, most: int) -> bytes:
        """Some bytes, or none at the end."""

    def close(self) -> None:
        """Ends it."""


class Window:
    """A piece of a file in memory, at least ``ahead`` bytes, that moves to where something is read.

    What lies between two reads is skipped where it is larger than that: of a tar of large images only the headers
    are read. A store answers a request in tens of milliseconds, whatever its size, so its pieces are larger.
    """

    def __init__(self, file: pa.NativeFile, ahead: int = AHEAD_LOCAL):
        self.file, self.end, self.ahead = file, file.size(), ahead
        self._content, self._start = b"", 0

    def read_at(self, size: int, offset: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at the end of the file."""
        start = offset - self._start
        if start < 0 or start + size > len(self._content):
            self._content, self._start, start = self.file.read_at(max(self.ahead, size), offset), offset, 0
        return self._content[start : start + size]

    def holds(self, end: int) -> bool:
        """Whether the file has so many bytes."""
        return end <= self.end


class StreamWindow:
    """A ``Window`` on what can only be read from its start to its end; who goes back far makes it start again.

    How long it is it knows at its end, which it then is. What goes wrong on the way raises what the stream raises.
    """

    def __init__(self, reopen: Callable[[], Readable]):
        """``reopen`` opens the stream at its start; its ``read`` gives some bytes, and none at its end."""
        self.reopen, self.end = reopen, 1 << 62
        self._stream: Readable | None = None
        self._content, self._start = bytearray(), 0

    def read_at(self, size: int, offset: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at the end of the stream."""
        if self._stream is None or offset < self._start:
            self.close()
            self._stream, self._content, self._start = self.reopen(), bytearray(), 0
        self._read_to(offset + size, offset)
        start = offset - self._start
        return bytes(self._content[start : start + size])

    def holds(self, end: int) -> bool:
        """Whether the stream has so many bytes; reads them."""
        if end > self._start + len(self._content):
            self.read_at(0, end)
        return end <= self.end

    def close(self) -> None:
        """Closes the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read_to(self, end: int, wanted: int) -> None:
        """Reads to an offset; what lies far before the one that is ``wanted`` is forgotten on the way."""
        while (there := self._start + len(self._content)) < end:
            part = self._stream.read(min(max(end - there, AHEAD_LOCAL), 1 << 20))
            if not part:
                self.end = min(self.end, there)
                return
            self._content += part
            if (old := min(wanted, there + len(part)) - KEPT - self._start) > KEPT:
                del self._content[:old]
                self._start += old


class AsFile(io.RawIOBase):
    """A window as a file that can be read at any place, as ``tarfile`` wants it."""

    def __init__(self, window: Window | StreamWindow):
        self.window, self.at = window, 0

    def readinto(self, buffer) -> int:
        """Fills the buffer, or what of it there is."""
        content = self.window.read_at(len(buffer), self.at)
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to an offset; from the start, or from here."""
        self.at = offset + (self.at if whence == io.SEEK_CUR else 0)
        return self.at

    def tell(self) -> int:
        """Where it is."""
        return self.at

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True


def ahead_of(filesystem: pafs.FileSystem) -> int:
    """The bytes that are read ahead of a file there."""
    return AHEAD_LOCAL if isinstance(filesystem, pafs.LocalFileSystem) else AHEAD_REMOTE
