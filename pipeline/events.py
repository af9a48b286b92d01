"""What runs did to an output, as they did it: ``events.jsonl``, a line of JSON for each start and end of a stage.

Lines are only ever added. On a disk each is one write at the end of the file and is on the disk before the run goes on,
so that a run that is killed leaves all lines before, and at most a last one that is cut short; the next line begins on
a line of its own. A store cannot add to an object: there the file is written anew with each line. The file is of runs
and not of the set: it is in no manifest, and nothing reads it.
"""

import contextlib
import json
import os
import time
import traceback
import uuid
from collections.abc import Iterator
from typing import Any

from pipeline import storage
from pipeline.errors import PipelineError
from pipeline.progress import say
from pipeline.record import Record
from pipeline.secrets import public

EVENTS = "events.jsonl"


class Events:
    """The lines of one run. The first says that it began; a run that does nothing leaves none."""

    def __init__(self, output: str, recipe: str):
        self._path, self._recipe = storage.join(output, EVENTS), recipe
        self._run, self._began, self._failed = uuid.uuid4().hex[:12], 0.0, False

    @contextlib.contextmanager
    def of_stage(self, stage: str) -> Iterator[None]:
        """Says that a stage begins, and, where what is done within fails, that it failed, and the run with it."""
        started = time.monotonic()
        if not self._began:
            self._began = started
            self._add("run_started", recipe=self._recipe)
        self._add("stage_started", stage=stage)
        try:
            yield
        except BaseException as error:
            self._add(
                "stage_failed", stage=stage, seconds=round(time.monotonic() - started, 3), error=public(_said(error))
            )
            self._add("run_failed", seconds=self._seconds())
            raise

    def stage_ended(self, done: Record) -> None:
        """A stage is finished, with its record."""
        self._add(
            "stage_ended",
            stage=done.stage,
            rows_in=done.rows_in,
            rows_out=done.rows_out,
            dropped=done.dropped,
            files=len(done.files),
            bytes=sum(file["bytes"] for file in done.files),
            seconds=round(done.seconds, 3),
        )

    def run_ended(self) -> None:
        """The run is through."""
        if self._began:
            self._add("run_ended", seconds=self._seconds())

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)

    def _add(self, event: str, **more: Any) -> None:
        """Adds a line. A set is not lost for it: where it cannot be written that is said once."""
        told = {"time": _now(), "run": self._run, "event": event} | more
        line = json.dumps(told, ensure_ascii=False).encode() + b"\n"
        try:
            if storage.is_local(self._path):
                _append(storage.absolute(self._path), line)
            else:
                before = storage.read_bytes(self._path) if storage.exists(self._path) else b""
                storage.write_bytes(self._path, before + line)
        except OSError as error:
            if not self._failed:
                say(f"{EVENTS} cannot be written: {error.strerror or error}")
            self._failed = True


def _append(path: str, line: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> str:
    """The time in UTC, to the millisecond."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def _said(error: BaseException) -> str:
    """An error on one line."""
    if isinstance(error, PipelineError):
        return str(error)
    first = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return (first or [type(error).__name__])[0][:500]
