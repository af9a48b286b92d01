"""One run at a time in an output folder: a second one would take away what the first has in hand."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator

from pipeline import storage
from pipeline.errors import UsageError

LOCK = ".lock"


@contextlib.contextmanager
def held(output: str) -> Iterator[None]:
    """Holds an output folder, which must be there, within a ``with`` block.

    The lock is the system's (``flock``), so it goes with a process that is killed. Raises ``UsageError`` where another
    run holds it. Stores, and file systems without locks, have none: there two runs are not kept apart.
    """
    if not storage.is_local(output):
        yield
        return
    descriptor = os.open(storage.join(storage.absolute(output), LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise UsageError(
                    f"--output {output}: another run is at work there{_owner(descriptor)}; wait for it, or give "
                    "another folder"
                ) from None
        os.ftruncate(descriptor, 0)
        owner = {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.write(descriptor, json.dumps(owner).encode())
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _owner(descriptor: int) -> str:
    """Who holds the lock, as far as its file says."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return f" (process {found['process']} on {found['host']}, since {found['since']})"
    except (ValueError, KeyError, TypeError):
        return ""
