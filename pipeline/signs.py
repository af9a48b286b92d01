"""One run at a time where there are no locks: each run leaves a sign of life in the output, and renews it.

A run writes its sign first and then looks who else has one; where another is alive it takes its own away and gives up.
So of two that begin at once at most one goes on, as long as a file that was written is seen by all who list after that:
S3, Google Cloud Storage, Azure and HDFS promise it, NFS nearly. A sign that was not renewed for ``EXPIRY`` seconds is a
dead run's. Age is taken from the store's clock alone, by the time of the own sign, so that no machine's clock matters.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.fs as pafs

from pipeline import storage
from pipeline.errors import PipelineError, UsageError

FOLDER = ".signs"
RENEWAL, EXPIRY = 30.0, 600.0


@contextlib.contextmanager
def held(output: str, owner: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """Holds an output within a ``with`` block; what it gives raises ``PipelineError`` where the sign is gone."""
    folder = storage.join(output, FOLDER)
    storage.make_folder(folder)
    own = storage.join(folder, f"{uuid.uuid4().hex}.json")
    content = storage.json_bytes(owner)
    stop, lost = threading.Event(), threading.Event()
    keeper = threading.Thread(target=_renew, args=(own, content, stop, lost), daemon=True)
    try:
        storage.put(own, content)
        _give_up_for_others(output, folder, own)
        keeper.start()
        yield lambda: _check(output, own, lost)
    finally:
        stop.set()
        if keeper.ident is not None:
            keeper.join()
        _take_away(own)


def _take_away(own: str) -> None:
    """Removes the own sign. A store that does not answer twice keeps it: of a process that is no more it is ignored."""
    try:
        storage.remove(own)
    except OSError:
        with contextlib.suppress(OSError):
            storage.remove(own)


def _give_up_for_others(output: str, folder: str, own: str) -> None:
    """Raises ``UsageError`` where another run is alive; removes the signs of dead ones."""
    filesystem, inner = storage.open_filesystem(folder)
    signs = {file.base_name: file for file in filesystem.get_file_info(pafs.FileSelector(inner)) if file.is_file}
    now = _age(signs.pop(storage.base_name(own), None))
    for name, file in sorted(signs.items()):
        sign = storage.join(folder, name)
        found, age = storage.read_json(sign), _age(file)
        if found is None and not storage.exists(sign):  # Its run ended, or gave up, since it was listed.
            continue
        if (now is not None and age is not None and now - age > EXPIRY) or _is_dead(found):
            storage.remove(sign)
            continue
        raise UsageError(
            f"--output {output}: another run is at work there{by(found)}; wait for it, or give another folder. If it "
            f"died, it is forgotten {EXPIRY / 60:.0f} minutes after its last sign of life; to go on now remove {sign}"
        )


def _age(file: pafs.FileInfo | None) -> float | None:
    """When a sign was written, by the store's clock; None where it does not say."""
    return file.mtime_ns / 1e9 if file is not None and file.mtime_ns else None


def _is_dead(found: Any) -> bool:
    """Whether a sign is of a process of this machine that is no more."""
    if not isinstance(found, dict) or found.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(found["process"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, KeyError, TypeError, ValueError):
        pass
    return False


def _renew(own: str, content: bytes, stop: threading.Event, lost: threading.Event) -> None:
    """Writes the sign again and again, unless somebody took it away or it is too late for that."""
    last = time.monotonic()
    while not stop.wait(RENEWAL):
        try:
            if not storage.exists(own) or time.monotonic() - last > EXPIRY:
                lost.set()
                return
            storage.put(own, content)
            last = time.monotonic()
        except OSError:  # The store does not answer: it may again.
            if time.monotonic() - last > EXPIRY:
                lost.set()
                return


def _check(output: str, own: str, lost: threading.Event) -> None:
    if lost.is_set() or not storage.exists(own):
        raise PipelineError(
            f"--output {output}: this run lost its hold of it (its sign of life was removed, or could not be renewed "
            f"for {EXPIRY / 60:.0f} minutes), and another may be at work there; nothing more is written"
        )


def by(found: Any) -> str:
    """Who holds an output, as far as a lock or sign says."""
    try:
        return f" (process {found['process']} on {found['host']}, since {found['since']})"
    except (KeyError, TypeError):
        return ""
