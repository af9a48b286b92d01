"""The file a tar is written to: past the page cache where the machine can, else as Arrow does.

A set of shards is larger than memory and nobody reads it at once, so caching it only costs: on a virtual machine whose
free memory goes back to its host, a new page takes the kernel longer than all else of a sample. With ``O_DIRECT`` the
disk takes the blocks from our buffer. Systems and file systems without it get the same bytes by ordinary writes.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import pyarrow.fs as pafs

BLOCK = 4 << 20
ALIGNMENT = 4096
O_DIRECT = getattr(os, "O_DIRECT", 0)


def open_sink(filesystem: pafs.FileSystem, path: str) -> "DirectFile | pa.NativeFile":
    """What takes the bytes of a new file, with ``write`` and, as a context, closing at the end."""
    if O_DIRECT and isinstance(filesystem, pafs.LocalFileSystem):
        with contextlib.suppress(OSError):
            return DirectFile(path)
    return filesystem.open_output_stream(path, compression=None)


class DirectFile:
    """A file written with ``O_DIRECT`` in blocks of 4 MB, from two buffers whose addresses and sizes it asks for.

    One is filled while the disk takes the other. Raises ``OSError`` where the file cannot be opened so. Where the file
    system opens it and refuses a write, and for the last bytes, which fill no page, the flag is taken off.
    """

    def __init__(self, path: str):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | O_DIRECT, 0o666)
        self._buffer, self._other = (memoryview(mmap.mmap(-1, BLOCK)) for _ in range(2))
        self._used, self._direct = 0, True
        self._disk = ThreadPoolExecutor(1)
        self._written: Future | None = None

    def write(self, content: bytes) -> int:
        """Writes on. Raises the ``OSError`` of the block before where that was not written."""
        rest = memoryview(content)
        while len(rest):
            part = rest[: BLOCK - self._used]
            self._buffer[self._used : self._used + len(part)] = part
            self._used += len(part)
            rest = rest[len(part) :]
            if self._used == BLOCK:
                self._await()
                self._written = self._disk.submit(self._put, self._buffer)
                self._buffer, self._other, self._used = self._other, self._buffer, 0
        return len(content)

    def __enter__(self) -> "DirectFile":
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self._await()
            whole = self._used // ALIGNMENT * ALIGNMENT
            self._put(self._buffer[:whole])
            self._take_off()
            self._put(self._buffer[whole : self._used])
        finally:
            self._disk.shutdown()
            os.close(self._fd)

    def _await(self) -> None:
        if self._written is not None:
            self._written.result()
            self._written = None

    def _put(self, content: memoryview) -> None:
        while len(content):
            try:
                content = content[os.write(self._fd, content) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._take_off()

    def _take_off(self) -> None:
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) & ~O_DIRECT)
        self._direct = False
