"""Tars as files that can be read at any place, wherever they lie, and as streams from start to end.

Each kind has ``size()`` and ``read_at(size, offset)``, as Arrow's files; and ``state``, which is another when the file
is another. Reading past the end gives fewer bytes.
"""

import bz2
import gzip
import io
import lzma
import os
import subprocess
from collections.abc import Callable

import pyarrow.fs as pafs
import zstandard

from pipeline.errors import UsageError
from pipeline.paths import is_url, local, open_filesystem, shown
from pipeline.tars.window import AHEAD_LOCAL, AHEAD_REMOTE, StreamWindow, Window
from pipeline.train.given import is_http, is_packed
from pipeline.train.retries import NotGiven, Passing, retried
from pipeline.train.web import WebFile, WebStream

# What an error of Arrow for a store says that no next try will change.
LASTING = ("ACCESS_DENIED", "INVALID", "NO_SUCH", "RESOURCE_NOT_FOUND", "SIGNATURE", "NOT_IMPLEMENTED", "status 403")


class LocalFile:
    """A file of this machine."""

    def __init__(self, path: str):
        self.number = os.open(path, os.O_RDONLY)
        found = os.fstat(self.number)
        self.length, self.state = found.st_size, f"{found.st_size} {found.st_mtime_ns}"

    def size(self) -> int:
        """Its bytes."""
        return self.length

    def read_at(self, size: int, offset: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at its end."""
        return os.pread(self.number, size, offset)

    def __del__(self):
        if hasattr(self, "number"):
            os.close(self.number)


class StoreFile:
    """A file of a store that Arrow or fsspec knows, such as ``s3://``."""

    def __init__(self, url: str):
        self.url = url
        self.length, self.state, self.file = self._retried(self._open)

    def _open(self) -> tuple[int, str, object]:
        filesystem, inner = open_filesystem(self.url)
        info = filesystem.get_file_info(inner)
        if info.type != pafs.FileType.File:
            raise FileNotFoundError(f"{shown(self.url)}: not found")
        return info.size, f"{info.size} {info.mtime_ns or ''}".strip(), filesystem.open_input_file(inner)

    def size(self) -> int:
        """Its bytes."""
        return self.length

    def read_at(self, size: int, offset: int) -> bytes:
        """``size`` bytes at ``offset``; fewer at its end."""
        size = min(size, self.length - offset)
        return self._retried(lambda: self.file.read_at(size, offset)) if size > 0 else b""

    def _retried(self, work: Callable):
        def once():
            try:
                return work()
            except FileNotFoundError:
                raise FileNotFoundError(f"{shown(self.url)}: not found") from None
            except OSError as error:
                said = " ".join(str(error).split())[:300]
                if any(word in said for word in LASTING):
                    raise NotGiven(f"{shown(self.url)}: {said}") from None
                raise Passing(said) from None

        return retried(self.url, once)


class PackedFile(StreamWindow):
    """A compressed tar by the bytes that are in it. Who goes back in it makes it be unpacked from its start again."""

    def __init__(self, tar: str):
        super().__init__(lambda: Stream(tar))
        self.state = _open_file(tar).state

    def __del__(self):
        self.close()


TarFile = LocalFile | StoreFile | WebFile | PackedFile


def open_file(tar: str, state: str | None = None) -> TarFile:
    """A tar to be read at any place. ``OSError`` where it is not there, or not the one that it was (``state``)."""
    found = PackedFile(tar) if is_packed(tar) else _open_file(tar)
    if state not in (None, found.state):
        raise NotGiven(f"{shown(tar)}: has changed")
    return found


def window_on(file: TarFile) -> Window | StreamWindow:
    """A window that goes over the file."""
    if isinstance(file, PackedFile):
        return file
    return Window(file, AHEAD_LOCAL if isinstance(file, LocalFile) else AHEAD_REMOTE)


def read_whole(path: str) -> bytes | None:
    """The content of a small file, or None where there is none."""
    try:
        file = _open_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return file.read_at(file.size(), 0)


class Stream:
    """A tar from its start to its end, unpacked by what its first bytes say. ``pipe:`` gives what a command prints."""

    def __init__(self, tar: str):
        if tar.startswith("pipe:"):
            raw: io.RawIOBase = _Command(tar)
        elif is_http(tar):
            raw = WebStream(tar)
        elif is_url(tar):
            raw = _Forward(StoreFile(tar))
        else:
            raw = open(local(tar), "rb", 0)  # noqa: SIM115
        self.file = io.BufferedReader(raw, AHEAD_REMOTE if isinstance(raw, _Forward) else AHEAD_LOCAL)
        head = self.file.peek(6)[:6]
        unpack = next((unpack for magic, unpack in _UNPACK.items() if head.startswith(magic)), lambda file: file)
        self.unpacked = unpack(self.file)

    def read(self, most: int) -> bytes:
        """Some bytes, or none at the end; what is before a damage is given before that is raised."""
        return self.unpacked.read1(most)

    def close(self) -> None:
        """Closes it, and ends what is behind it."""
        self.unpacked.close()
        self.file.close()


_UNPACK = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True),
}


class _Forward(io.RawIOBase):
    """A file of a store from its start to its end."""

    def __init__(self, file: StoreFile):
        self.file, self.at = file, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        content = self.file.read_at(len(buffer), self.at)
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)


class _Command(io.RawIOBase):
    """What a shell command prints; that it failed is said at its end."""

    def __init__(self, command: str):
        self.command = command
        self.process = subprocess.Popen(command.removeprefix("pipe:"), shell=True, stdout=subprocess.PIPE, bufsize=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        count = self.process.stdout.readinto(buffer)
        if not count and (code := self.process.wait()):
            raise NotGiven(f"{shown(self.command)}: the command ended with code {code}")
        return count

    def close(self) -> None:
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()
        super().close()


def _open_file(tar: str) -> LocalFile | StoreFile | WebFile:
    if tar.startswith("pipe:"):
        raise UsageError(f"data.shards: {shown(tar)}: a command is a stream, which only the trainer reads")
    if is_http(tar):
        return WebFile(tar)
    return StoreFile(tar) if is_url(tar) else LocalFile(local(tar))
