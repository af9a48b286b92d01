"""Reads a crawl file through a process of its own, so that no page can hold up or end the run.

A page that a parser does not come to an end with, or that ends the process, is passed by: another process goes on
where the pairs of the last one end.
"""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import PipelineError
from pipeline.extract.found import CRASHED, TOO_SLOW, Found
from pipeline.extract.links import SENT
from pipeline.extract.options import Extract
from pipeline.extract.records import BEGINNING, Place

# When so many pages of a file ended the process, the rest of it is left.
MOST_ENDED = 100
Part = tuple[pa.RecordBatch, Found, Place]
UNREADABLE = "cannot be read"
NOTHING = -1  # No record is being parsed.


@dataclass(frozen=True)
class Request:
    """A file of a kind (``wat`` or ``warc``), the place to go on behind, the records to end with and to pass by."""

    path: str
    kind: str
    options: Extract
    after: Place
    skip: frozenset[int]
    end: int | None = None


def extract_watched(path: str, kind: str, options: Extract) -> Iterator[tuple[pa.RecordBatch, Found]]:
    """The pairs of a file (``SENT``), with what was counted since the last batch.

    Raises ``PipelineError`` where the process ends and no page is to blame.
    """
    after, end, ended = BEGINNING, None, set()
    while True:
        reading = _Reading(Request(path, kind, options, after, frozenset(ended), end))
        try:
            for rows, found, after in reading.parts():  # noqa: B007, where the next one goes on
                yield rows, found
            code, at, said = reading.ended()
        finally:
            reading.close()
        if code == 0:
            break
        if at == NOTHING or at in ended:
            raise PipelineError(f"{path}: {said or f'the process that reads it ended with {code}'}")
        ended.add(at)
        page = Counter([TOO_SLOW if code == -signal.SIGALRM else CRASHED])
        yield _nothing(), Found(records=1, pages=page)
        end = at if len(ended) == MOST_ENDED else None
    if end is not None:
        yield _nothing(), Found(damage=f"{MOST_ENDED} pages could not be read; the rest of the file was left")


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=SENT)


class _Reading:
    """A process of ``pipeline.extract.reader``."""

    def __init__(self, request: Request):
        self.errors, self.position = tempfile.TemporaryFile(), tempfile.NamedTemporaryFile()  # noqa: SIM115, closed below
        self.position.write(NOTHING.to_bytes(8, sys.byteorder, signed=True))
        self.position.flush()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "pipeline.extract.reader", self.position.name]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.errors, env=environment)
        with contextlib.suppress(BrokenPipeError):  # It ended already; its exit code says so.
            self.process.stdin.write(pickle.dumps(request))
            self.process.stdin.close()

    def parts(self) -> Iterator[Part]:
        """What the process sent in whole."""
        try:
            with pa.ipc.open_stream(self.process.stdout) as stream:
                while True:
                    rows, told = stream.read_next_batch_with_custom_metadata()
                    yield rows, Found.of(told[b"found"].decode()), Place(*json.loads(told[b"place"]))
        except StopIteration:
            return
        except (pa.ArrowInvalid, OSError):
            return  # It ended in the middle; its exit code says so, too.

    def ended(self) -> tuple[int, int, str]:
        """The exit code, the number of the record that was being parsed, the last line about an error."""
        code = self.process.wait()
        self.position.seek(0)
        at = int.from_bytes(self.position.read(8), sys.byteorder, signed=True)
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        return code, at, lines[-1] if lines else ""

    def close(self) -> None:
        """Ends the process, if it still runs."""
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdout, self.errors, self.position):
            file.close()
