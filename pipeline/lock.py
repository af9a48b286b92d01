"""One run at a time in an output folder: a second one would take away what the first has in hand.

On a disk the lock is the system's (``flock``), and goes with the process. Stores, and file systems without it, have
none: there ``signs`` keeps two runs apart.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from pipeline import signs, storage
from pipeline.errors import UsageError

LOCK = ".lock"
Check = Callable[[], None]


@contextlib.contextmanager
def held(output: str) -> Iterator[Check]:
    """Holds an output folder, which must be there, within a ``with`` block.

    Raises ``UsageError`` where another run holds it, and says who. What it gives raises ``PipelineError`` where the
    lock was lost since, which a disk's cannot be.
    """
    if not storage.is_local(output):
        with signs.held(output, _owner()) as check:
            yield check
        return
    descriptor = os.open(storage.join(storage.absolute(output), LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if not _locked(descriptor, output):
            with signs.held(output, _owner()) as check:
                yield check
            return
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(_owner()).encode())
        yield lambda: None
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _locked(descriptor: int, output: str) -> bool:
    """Takes the system's lock; False where a file system has none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        try:
            found = json.loads(os.pread(descriptor, 4096, 0))
        except ValueError:
            found = None
        raise UsageError(
            f"--output {output}: another run is at work there{signs.by(found)}; wait for it, or give another folder"
        ) from None
    return True


def _owner() -> dict[str, Any]:
    """What another run is told of this one."""
    return {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
