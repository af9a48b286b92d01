"""Rows on their way from task to task, as Arrow streams.

A row of ``BLOCKS`` says which task some rows are for (``target``), and where they come in its order (``part``). The
rows themselves are in ``block``, which Spark carries along; or, where they are many, ``size`` bytes at ``offset`` of a
``file`` of the task that sends them, so that Spark moves places alone.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage

BLOCKS = pa.schema(
    {"target": pa.int32(), "part": pa.int32(), "block": pa.binary(), "file": pa.string(), "offset": pa.int64(),
     "size": pa.int64()}
)  # fmt: skip
Rows = pa.RecordBatch | pa.Table


def blocks(target: np.ndarray, rows: Rows, part: np.ndarray | int = 0) -> pa.RecordBatch:
    """The rows as blocks, one for each target and part; both are ascending over the rows."""
    starts, ends = runs(target, part)
    pieces = [packed(rows.slice(a, b - a)) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    parts = np.broadcast_to(np.asarray(part), target.shape)
    return places(target[starts], parts[starts], block=pieces)


def block(target: int, rows: Rows, part: int = 0) -> pa.RecordBatch:
    """All rows as one block."""
    return places(np.array([target]), np.array([part]), block=[packed(rows)])


def places(target: np.ndarray, part: np.ndarray, **values: Any) -> pa.RecordBatch:
    """Rows of ``BLOCKS``."""
    values |= {"target": target, "part": part}
    columns = [
        pa.array(values[field.name], field.type) if field.name in values else pa.nulls(len(target), field.type)
        for field in BLOCKS
    ]
    return pa.RecordBatch.from_arrays(columns, schema=BLOCKS)


def runs(target: np.ndarray, part: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Where the rows of each target and part start and end."""
    if not len(target):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    changes = np.flatnonzero((np.diff(target) != 0) | (np.diff(np.broadcast_to(part, target.shape)) != 0)) + 1
    return np.concatenate([[0], changes]), np.append(changes, len(target))


def packed(rows: Rows) -> bytes:
    """Rows as an Arrow stream."""
    sink = pa.BufferOutputStream()
    write_stream(sink, rows)
    return sink.getvalue().to_pybytes()


def write_stream(sink: pa.NativeFile, rows: Rows) -> None:
    """Writes rows as an Arrow stream."""
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write(rows)


def unpacked(block: Any) -> pa.Table:
    """The rows of an Arrow stream, which is a buffer; not copied."""
    return pa.ipc.open_stream(block).read_all()


def by_part(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Iterator[pa.Table]]]:
    """The parts of a task's blocks, which come in their order, each with the rows of its blocks, one after another."""
    found = ((batch["part"][row].as_py(), batch, row) for batch in batches for row in range(batch.num_rows))
    for part, of_part in groupby(found, key=lambda place: place[0]):
        yield part, (rows_of(batch, row) for _, batch, row in of_part)


def rows_of(batch: pa.RecordBatch, row: int) -> pa.Table:
    """The rows of a block."""
    if batch["block"][row].is_valid:
        return unpacked(batch["block"][row].as_buffer())
    file, offset, size = (batch[name][row].as_py() for name in ("file", "offset", "size"))
    return unpacked(_opened(file).read_at(size, offset))


@lru_cache(maxsize=256)
def _opened(file: str) -> pa.NativeFile:
    filesystem, path = storage.open_filesystem(file)
    return filesystem.open_input_file(path)
