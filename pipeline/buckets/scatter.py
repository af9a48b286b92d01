"""Rows in any order on their way into buckets."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.buckets.blocks import Rows, places, write_stream
from pipeline.buckets.keys import bucket_of
from pipeline.compiled import compiled

# What is held before it is sent; more where blocks would be smaller than is worth their headers.
LEAST_HELD, MOST_HELD, BLOCK_BYTES = 32 << 20, 128 << 20, 1 << 12


class Spool:
    """A file of one attempt of a task, through which it sends rows, so that Spark moves their places alone."""

    def __init__(self, file: str):
        """``file``: not there yet; it is made when something is sent."""
        self.file = file
        self._sink: pa.NativeFile | None = None

    def send(self, target: np.ndarray, part: np.ndarray, ends: np.ndarray, rows: Rows) -> pa.RecordBatch:
        """Writes the rows, those of a target and part up to each end; their places, as ``blocks`` gives them."""
        if self._sink is None:
            filesystem, path = storage.open_filesystem(self.file)
            self._sink = filesystem.open_output_stream(path)
        offsets, start = [self._sink.tell()], 0
        for end in ends.tolist():
            write_stream(self._sink, rows.slice(start, end - start))
            offsets.append(self._sink.tell())
            start = end
        file = [self.file] * len(ends)
        return places(target, part, file=file, offset=offsets[:-1], size=np.diff(offsets))

    def close(self) -> None:
        """Ends the file."""
        if self._sink is not None:
            self._sink.close()


class Scatter:
    """Holds rows, and sends them to ``buckets`` targets by a column of int64 that is as good as a hash.

    A target gets its rows in ``parts``, each a range of the column, or all as ``part``; those that are held together in
    their order.
    """

    def __init__(self, spool: Spool, buckets: int, parts: int = 1, by: str = "pair_id", part: int = 0):
        self.spool, self.buckets, self.parts, self.by, self.part = spool, buckets, parts, by, part
        self.most = min(MOST_HELD, max(LEAST_HELD, buckets * parts * BLOCK_BYTES))
        self._held: list[pa.Table] = []
        self._bytes = 0

    def add(self, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Takes rows; gives the places of what is held where that is much."""
        self._held.append(pa.Table.from_batches([rows]))
        self._bytes += rows.nbytes
        if self._bytes >= self.most:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The places of what is held. Columns of nothing but nulls are left out."""
        rows = pa.concat_tables(self._held) if self._held else pa.table({})
        self._held, self._bytes = [], 0
        if rows.num_rows:
            rows = rows.select([name for name in rows.column_names if rows[name].null_count < rows.num_rows])
            place = bucket_of(rows[self.by].to_numpy(), self.buckets * self.parts)
            order, ends = by_place(place)
            there = np.flatnonzero(np.diff(ends, prepend=0))
            target, part = np.divmod(there, self.parts)
            in_order = rows.combine_chunks().take(pa.array(order))
            yield self.spool.send(target, part + self.part, ends[there], in_order)


def by_place(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one place after another, in the order they have, and where those of each place end."""
    ends, order = np.cumsum(np.bincount(place)), np.empty(len(place), np.int64)
    write_order(place, np.concatenate([[0], ends[:-1]]), order)
    return order, ends


@compiled
def write_order(place, starts, order):
    """Writes the rows of each place from its start on."""
    for row in range(len(place)):
        order[starts[place[row]]] = row
        starts[place[row]] += 1


def in_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in a schema, with nulls for the columns that they lack."""
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)
