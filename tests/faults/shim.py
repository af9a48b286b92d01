"""The shared library of ``shim.c``, and the file by which tests tell it what is to fail."""

import ctypes
import hashlib
import mmap
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
# no space, an error of the disk, half a write and an error, death of the process, everything from now on fails
OFF, NO_SPACE, DISK_ERROR, TORN, DEATH, POWER = range(6)
FILES = 65536


class Layout(ctypes.Structure):
    """``struct control`` of ``shim.c``."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("persistent", ctypes.c_int32),
        ("at", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("fired", ctypes.c_int64),
        ("all", ctypes.c_int64),
        ("making", ctypes.c_int64),
        ("writes", ctypes.c_int64),
        ("root", ctypes.c_char * 512),
        ("where", ctypes.c_char * 512),
        ("unsynced", ctypes.c_uint64 * FILES),
    ]


def compiler() -> str | None:
    """The C compiler of this machine."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def library() -> Path:
    """The compiled shim; made once for each version of its source."""
    made = Path(tempfile.gettempdir()) / f"shim-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}.so"
    if not made.exists():
        part = made.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler(), "-shared", "-fPIC", "-O2", "-o", part, SOURCE, "-ldl"], check=True)
        part.rename(made)
    return made


class Control:
    """What is to fail below a folder."""

    def __init__(self, file: Path, root: Path):
        file.write_bytes(bytes(ctypes.sizeof(Layout)))
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), 0)
        self.layout = Layout.from_buffer(self._memory)
        self.layout.root = str(root).encode()

    def arm(self, kind: int, at: int, persistent: bool) -> None:
        """From now on operations count; the one of number ``at``, and where ``persistent`` all after it, go wrong."""
        self.layout.kind = OFF
        ctypes.memset(ctypes.addressof(self.layout.unsynced), 0, ctypes.sizeof(self.layout.unsynced))
        self.layout.count = self.layout.fired = 0
        self.layout.all = self.layout.making = self.layout.writes = 0
        self.layout.at, self.layout.persistent, self.layout.where = at, persistent, b""
        self.layout.kind = kind

    def disarm(self) -> None:
        """Nothing fails any more."""
        self.layout.kind = OFF

    @property
    def fired(self) -> int:
        """How many operations went wrong."""
        return self.layout.fired

    def count(self, kind: int) -> int:
        """How many operations there were that could go wrong so."""
        layout = self.layout
        return {NO_SPACE: layout.making, TORN: layout.writes}.get(kind, layout.all)

    @property
    def where(self) -> str:
        """The first that went wrong."""
        return self.layout.where.decode(errors="replace")

    def lose_unsynced(self, root: Path) -> list[Path]:
        """Empties the files whose content was never synced, as a file system may after a loss of power."""
        unsynced = set(self.layout.unsynced)
        lost = [file for file in root.rglob("*") if file.is_file() and file.stat().st_ino in unsynced]
        for file in lost:
            os.truncate(file, 0)
        return lost
