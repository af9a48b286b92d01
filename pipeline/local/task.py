"""What a worker does: one task after another, each the same functions over rows of its own."""

import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.buckets.blocks import packed, write_stream

Batches = Iterator[pa.RecordBatch]
Function = Callable[[Batches], Batches]


@dataclass(frozen=True)
class Running:
    """The task that runs: its number, that of the attempt, which no other has, and the session's files by name."""

    number: int
    attempt: int
    files: dict[str, str]


@dataclass(frozen=True)
class Job:
    """What tasks have in common: the functions that rows pass through, of one task or another, and what becomes of
    the rows then."""

    functions: tuple[tuple[Function, ...], ...]
    end: Callable[[Batches], Any]
    files: dict[str, str]


MOST_TOLD = 1 << 16  # of an error, in characters and bytes
MOST_OPEN = 64

running: Running | None = None


def answer(job: str, function: int, source: Callable[[], Batches], number: int, attempt: int) -> tuple[bool, Any]:
    """Whether a task went well, and what it gives, or what went wrong: the error, if it can be sent, and its stack."""
    global running
    try:
        found = _job(job)
        running = Running(number, attempt, found.files)
        rows = source()
        for step in found.functions[function]:
            rows = step(rows)
        return True, found.end(rows)
    except BaseException as error:
        return False, _told(error)
    finally:
        running = None


def _told(error: BaseException) -> tuple[BaseException | None, str]:
    """What went wrong, as it can be sent: the error, if it stays one on the way, and its stack."""
    told = "".join(traceback.format_exception(error))
    if len(told) > MOST_TOLD:
        told = f"{told[: MOST_TOLD // 2]} … {told[-MOST_TOLD // 2 :]}"
    try:
        sent = pickle.dumps(error.with_traceback(None))
        if len(sent) <= MOST_TOLD and isinstance(pickle.loads(sent), Exception):
            return error, told
    except BaseException:  # A class may do anything there.
        pass
    return None, told


@lru_cache(maxsize=1)
def _job(file: str) -> Job:
    with open(file, "rb") as content:
        return pickle.load(content)


@dataclass(frozen=True)
class Numbers:
    """A source: the numbers from ``first`` to ``end``."""

    first: int
    end: int

    def __call__(self) -> Batches:
        """The rows."""
        yield pa.record_batch({"id": np.arange(self.first, self.end)})


@dataclass(frozen=True)
class Extents:
    """A source: rows that other tasks wrote, ``size`` bytes at ``offset`` of one of their files each, one after
    another."""

    files: tuple[str, ...]
    file: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def __call__(self) -> Batches:
        """The rows."""
        opened: dict[int, int] = {}
        try:
            for file, offset, size in zip(self.file.tolist(), self.offset.tolist(), self.size.tolist(), strict=True):
                if file not in opened:
                    if len(opened) == MOST_OPEN:
                        os.close(opened.pop(next(iter(opened))))
                    opened[file] = os.open(self.files[file], os.O_RDONLY)
                content = os.pread(opened[file], size, offset)
                with pa.ipc.open_stream(pa.py_buffer(content)) as stream:
                    yield from stream
        finally:
            for descriptor in opened.values():
                os.close(descriptor)


@dataclass(frozen=True)
class Stored:
    """A source: the rows that a task kept in a file."""

    file: str

    def __call__(self) -> Batches:
        """The rows."""
        with pa.OSFile(self.file) as file, pa.ipc.open_stream(file) as stream:
            yield from stream


@dataclass(frozen=True)
class Together:
    """A source: the rows of several, one after another."""

    sources: tuple[Callable[[], Batches], ...]

    def __call__(self) -> Batches:
        """The rows."""
        for source in self.sources:
            yield from source()


@dataclass(frozen=True)
class Send:
    """An end: writes rows to a file of the folder, sorted by the column ``target`` and in it by ``part``, a batch at a
    time.

    Gives the file, or None without rows, and for each extent its target, part, offset and size.
    """

    folder: str
    target: str
    part: str = "part"

    def __call__(self, rows: Batches) -> tuple[str | None, np.ndarray]:
        """Writes."""
        file = os.path.join(self.folder, str(running.attempt))
        sink, found = None, []
        for batch in rows:
            if not batch.num_rows:
                continue
            sink = sink or pa.OSFile(file, "wb")
            target, part = (batch.column(name).to_numpy().astype(np.int64) for name in (self.target, self.part))
            order = np.lexsort((part, target))
            target, part = target[order], part[order]
            if (np.diff(order) != 1).any():
                batch = batch.take(pa.array(order))
            starts = np.flatnonzero(np.concatenate([[True], (np.diff(target) != 0) | (np.diff(part) != 0)]))
            ends = np.append(starts[1:], len(target))
            offsets = [sink.tell()]
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                write_stream(sink, batch.slice(start, end - start))
                offsets.append(sink.tell())
            found.append(np.stack([target[starts], part[starts], offsets[:-1], np.diff(offsets)]))
        if sink is None:
            return None, np.zeros((4, 0), np.int64)
        sink.close()
        return file, np.concatenate(found, axis=1)


@dataclass(frozen=True)
class Keep:
    """An end: writes rows to a file of the folder. Gives the file and the number of rows."""

    folder: str

    def __call__(self, rows: Batches) -> tuple[str, int]:
        """Writes."""
        file, count, stream = os.path.join(self.folder, str(running.attempt)), 0, None
        with pa.OSFile(file, "wb") as sink:
            for batch in rows:
                stream = stream or pa.ipc.new_stream(sink, batch.schema)
                stream.write(batch)
                count += batch.num_rows
            if stream is not None:
                stream.close()
            return file, count


def collect(rows: Batches) -> list[bytes]:
    """An end: the rows themselves, as Arrow streams."""
    return [packed(batch) for batch in rows if batch.num_rows]
