"""``python -m pipeline.extract.reader FILE``: reads one crawl file in a process of its own, for ``watch.py``.

What is to be read comes as a pickle on stdin. Rows go to stdout as an Arrow stream, each batch with what was counted on
the way and the place of the last record. A record that takes too long ends the process with the signal SIGALRM, which
also works where a parser never comes back; the number of the record that is being parsed is in FILE, eight bytes.
"""

import gc
import io
import json
import mmap
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa

from pipeline import storage
from pipeline.extract.file import Part, extract_file
from pipeline.extract.found import Found
from pipeline.extract.links import SENT
from pipeline.extract.watch import NOTHING, UNREADABLE, Request

BUFFER = 8 << 20  # A store is asked for so much at a time.


def read(request: Request, position_file: str, out: BinaryIO) -> None:
    """Writes the Arrow stream of a file. ``position_file``: the file of eight bytes."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with open(position_file, "r+b") as file:
        position = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")

    def at(record: int | None) -> None:
        position[0] = NOTHING if record is None else record
        signal.setitimer(signal.ITIMER_REAL, 0 if record is None else request.options.most_seconds)

    with pa.ipc.new_stream(out, SENT) as writer:
        for rows, counted, place in parts(request, at):
            writer.write_batch(rows, custom_metadata={"found": counted.told(), "place": json.dumps(place)})


def parts(request: Request, at: Callable[[int | None], None]) -> Iterator[Part]:
    """What is in a file; of one that cannot be opened only that."""
    try:
        filesystem, inner = storage.open_filesystem(request.path)
        file = filesystem.open_input_file(inner)
    except OSError as error:
        found = Found(damage=f"{UNREADABLE}: {str(error).splitlines()[0]}")
        yield pa.RecordBatch.from_pylist([], schema=SENT), found, request.after
        return
    with file:
        stream = _Stream(file, BUFFER)
        for rows, found, place in extract_file(
            stream, request.kind, request.options, request.after, request.skip, request.end, at
        ):
            if stream.failed:
                found.damage = f"{UNREADABLE}: {stream.failed}"
            yield rows, found, place


class _Stream(io.BufferedReader):
    """A file whose store may fail in any way: that is an ``OSError``, and no fault of the file."""

    failed: str | None = None

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        try:
            return super().read(size)
        except Exception as error:
            self.failed = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise OSError(self.failed) from error


if __name__ == "__main__":
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What a library prints is none of the stream.
    gc.freeze()  # What was imported stays: the garbage collector need not look at it again and again.
    read(pickle.load(sys.stdin.buffer), sys.argv[1], out)
    out.close()
