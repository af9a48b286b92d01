"""Reading a file on and on in small pieces: it is read ahead, so that a piece costs no call of the file system."""

import pyarrow as pa
import pyarrow.fs as pafs

AHEAD_LOCAL, AHEAD_REMOTE = 1 << 18, 1 << 23


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


def ahead_of(filesystem: pafs.FileSystem) -> int:
    """The bytes that are read ahead of a file there."""
    return AHEAD_LOCAL if isinstance(filesystem, pafs.LocalFileSystem) else AHEAD_REMOTE
