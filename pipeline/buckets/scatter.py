"""Rows in any order on their way into buckets."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.buckets.blocks import places, runs, write_stream
from pipeline.buckets.keys import bucket_of

LEAST_HELD, MOST_HELD, HELD_BYTES = 1 << 17, 1 << 20, 1 << 27
# Below so many rows a block is mostly its header.
BLOCK_ROWS = 64


class Scatter:
    """Holds rows, and sends them to ``buckets`` targets, each in ``parts``, in order of pair_id, through a file."""

    def __init__(self, file: str, buckets: int, parts: int = 1):
        """``file``: not there yet, and of this attempt of a task alone."""
        self.file, self.buckets, self.parts = file, buckets, parts
        self.most = min(MOST_HELD, max(LEAST_HELD, buckets * parts * BLOCK_ROWS))
        self._held: list[pa.Table] = []
        self._rows = self._bytes = 0
        self._sink: pa.NativeFile | None = None

    def add(self, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Takes rows with a column ``pair_id``; gives the blocks of what is held where that is much."""
        self._held.append(pa.Table.from_batches([rows]))
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if self._rows >= self.most or self._bytes >= HELD_BYTES:
            yield self._send()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The blocks of what is held, at the end."""
        if self._rows:
            yield self._send()
        if self._sink is not None:
            self._sink.close()

    def _send(self) -> pa.RecordBatch:
        """Writes what is held, without the columns of nothing but nulls."""
        rows = pa.concat_tables(self._held)
        self._held, self._rows, self._bytes = [], 0, 0
        rows = rows.select([name for name in rows.column_names if rows[name].null_count < rows.num_rows])
        ids = rows["pair_id"].to_numpy()
        order = np.argsort(ids, kind="stable")
        place = bucket_of(ids[order], self.buckets * self.parts)
        rows = rows.combine_chunks().take(pa.array(order))
        if self._sink is None:
            filesystem, path = storage.open_filesystem(self.file)
            self._sink = filesystem.open_output_stream(path)
        starts, ends = runs(place, 0)
        offsets = [self._sink.tell()]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            write_stream(self._sink, rows.slice(start, end - start))
            offsets.append(self._sink.tell())
        return places(
            place[starts] // self.parts, place[starts] % self.parts, file=[self.file] * len(starts),
            offset=offsets[:-1], size=np.diff(offsets),
        )  # fmt: skip


def in_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in a schema, with nulls for the columns that they lack."""
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)
