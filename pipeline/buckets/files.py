"""The files of a table in buckets: written by a task each, with Arrow, and read by ranges of pair_id."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.keys import first_id, overlapping

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1 << 16, 64 << 20
READ_ROWS = 1 << 14
# Values that Arrow encodes at a time; the bytes of a file are those of its default, a sixteenth, which takes longer.
ENCODED_VALUES = 1 << 14
# Columns whose values repeat; to try a dictionary on the others takes a fifth of the time of writing.
CODED = ["text_source", "page_language", "language", "copies", "entry_list", "entries.list.element"]


def bucket_file(folder: str, bucket: int) -> str:
    """The file of a bucket."""
    return storage.join(folder, f"part-{bucket:05d}.parquet")


def write_bucket(
    folder: str,
    bucket: int,
    attempt: str,
    batches: Iterator[pa.RecordBatch],
    schema: pa.Schema,
    coded: list[str] | bool = True,
) -> int:
    """Writes the rows of a bucket, in order of pair_id, as one Parquet file; returns their number.

    The file is there complete or not at all: an attempt writes under a hidden name of its own. Its bytes depend on the
    rows alone. ``coded``: the columns that are tried with a dictionary, by default all; where it is some, ``pair_id``
    alone has statistics.
    """
    path = bucket_file(folder, bucket)
    filesystem, target = storage.open_filesystem(path)
    hidden = storage.open_filesystem(storage.join(folder, f".{bucket:05d}.{attempt}"))[1]
    rows = 0
    options = {"compression": "zstd", "use_dictionary": coded, "write_batch_size": ENCODED_VALUES}
    options["write_statistics"] = True if coded is True else ["pair_id"]
    with pq.ParquetWriter(hidden, schema, filesystem=filesystem, **options) as writer:
        for group in row_groups(batches, schema):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
            rows += group.num_rows
    filesystem.move(hidden, target)
    return rows


def row_groups(batches: Iterator[pa.RecordBatch | pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Batches of any sizes as tables of one chunk, cut after ``ROW_GROUP_ROWS`` rows or ``ROW_GROUP_BYTES`` of text.

    Where it cuts depends on the rows alone, not on the batches.
    """
    held, rows, size = [], 0, 0
    for batch in batches:
        if not batch.num_rows:
            continue
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        held.append(table.cast(schema))
        rows, size = rows + batch.num_rows, size + _text_bytes(held[-1])
        while (end := _group_end(held, rows, size)) is not None:
            together = pa.concat_tables(held)
            yield together[:end].combine_chunks()
            rest = together[end:]
            held, rows, size = [rest], rows - end, _text_bytes(rest)
    if rows:
        yield pa.concat_tables(held).combine_chunks()


def _text_bytes(table: pa.Table) -> int:
    """What the texts of a table take in memory, which is no less than their bytes."""
    return table["text"].nbytes if "text" in table.column_names else 0


def _group_end(held: list[pa.Table], rows: int, size: int) -> int | None:
    """How many of the held rows fill a row group, or None where there are too few yet; ``size``: ``_text_bytes``."""
    if size >= ROW_GROUP_BYTES:
        size = np.cumsum(np.concatenate([pc.binary_length(table["text"]).to_numpy() for table in held]))
        full = int(np.searchsorted(size, ROW_GROUP_BYTES, side="left")) + 1
        end = min(ROW_GROUP_ROWS, full)
        return end if rows >= end else None
    return ROW_GROUP_ROWS if rows >= ROW_GROUP_ROWS else None


@dataclass(frozen=True)
class Files:
    """The files of a table in buckets, in order: bucket i of as many as there are files."""

    paths: tuple[str, ...]

    @classmethod
    def of(cls, folder: str) -> "Files":
        """The files of a finished table."""
        names = [name for name in storage.names(folder) if name.endswith(".parquet") and name[0] not in "._"]
        return cls(tuple(storage.join(folder, name) for name in names))

    def rows(self) -> int:
        """The rows of all files."""
        return sum(map(file_rows, self.paths))

    def schema(self) -> pa.Schema:
        """The schema of the files."""
        filesystem, inner = storage.open_filesystem(self.paths[0])
        with filesystem.open_input_file(inner) as file:
            return pq.read_schema(file)

    def table(self, bucket: int, buckets: int, columns: list[str] | None = None) -> pa.Table:
        """The rows of a bucket of ``buckets`` at once; for what is little."""
        schema = self.schema()
        names = schema.names if columns is None else columns
        schema = pa.schema([schema.field(name) for name in names]).remove_metadata()
        return pa.Table.from_batches(self.read(bucket, buckets, columns), schema).combine_chunks()

    def ids(self, bucket: int, buckets: int) -> np.ndarray:
        """The pair_ids of a bucket of ``buckets``."""
        found = [batch.column("pair_id").to_numpy() for batch in self.read(bucket, buckets, ["pair_id"])]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def read(self, bucket: int, buckets: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a bucket of ``buckets``, in order of pair_id; some columns of them, ``pair_id`` among those."""
        yield from self.read_ids(first_id(bucket, buckets), first_id(bucket + 1, buckets), columns)

    def read_ids(self, first: int, end: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows with a pair_id in [first, end). Of files and row groups without such nothing is read."""
        for at in overlapping(first, end, len(self.paths)):
            whole = first <= first_id(at, len(self.paths)) and first_id(at + 1, len(self.paths)) <= end
            yield from read_file(self.paths[at], columns, None if whole else (first, end))


def file_rows(path: str) -> int:
    """The rows of one Parquet file, from its footer."""
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        return pq.read_metadata(file).num_rows


def read_file(
    path: str, columns: list[str] | None = None, ids: tuple[int, int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a file; those alone with a pair_id in [first, end) where ``ids`` says so."""
    filesystem, inner = storage.open_filesystem(path)
    with pq.ParquetFile(filesystem.open_input_file(inner)) as file:
        groups = list(range(file.num_row_groups))
        if ids is not None:
            groups = [group for group in groups if _overlaps(file, group, ids)]
        for batch in file.iter_batches(READ_ROWS, row_groups=groups, columns=columns, use_threads=False):
            if ids is not None:
                place = batch.column("pair_id").to_numpy()
                start, end = np.searchsorted(place, ids[0]), np.searchsorted(place, ids[1] - 1, side="right")
                batch = batch.slice(start, end - start)
            if batch.num_rows:
                yield batch


def _overlaps(file: pq.ParquetFile, group: int, ids: tuple[int, int]) -> bool:
    """Whether a row group may hold ids in [first, end), by its statistics."""
    column = file.metadata.row_group(group).column(file.schema_arrow.get_field_index("pair_id"))
    found = column.statistics
    return found is None or not found.has_min_max or (found.min < ids[1] and found.max >= ids[0])
