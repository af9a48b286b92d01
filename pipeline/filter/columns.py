"""Columns from elsewhere: Parquet files read with Arrow, so that any file that can be listed can be read."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage

ROWS = 1 << 16
OPENED_AT_A_TIME = 16
# The types that Spark takes for those that it does not have, as its own reader does.
_PLAIN = {
    pa.null(): pa.string(), pa.uint8(): pa.int32(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20), pa.float16(): pa.float32(),
}  # fmt: skip


def columns_of(files: list[str]) -> pa.Schema:
    """The columns of all files, a type that holds the values of each. Raises ``ArrowInvalid`` where there is none."""
    with ThreadPoolExecutor(OPENED_AT_A_TIME) as pool:
        schemas = list(pool.map(_schema, files))
    found = pa.unify_schemas([schema.remove_metadata() for schema in schemas], promote_options="permissive")
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in found])


def rows_of(file: str, columns: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a file with these columns; null where it has one not."""
    with _open(file) as opened:
        parquet = pq.ParquetFile(opened)
        here = [name for name in columns.names if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(ROWS, columns=here):
            found = dict(zip(here, batch.columns, strict=True)) if here else {}
            arrays = [
                found[field.name].cast(field.type) if field.name in found else pa.nulls(batch.num_rows, field.type)
                for field in columns
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=columns)


def _open(file: str) -> pa.NativeFile:
    filesystem, path = storage.open_filesystem(file)
    return filesystem.open_input_file(path)


def _schema(file: str) -> pa.Schema:
    with _open(file) as opened:
        return pq.read_schema(opened)


def _plain(kind: pa.DataType) -> pa.DataType:
    return _plain(kind.value_type) if pa.types.is_dictionary(kind) else _PLAIN.get(kind, kind)
