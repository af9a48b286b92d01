"""Embeddings from files: Parquet with a column ``vector``, or ``.npy`` with the keys in a Parquet file beside it.

Rows are named by ``key``, as a shard set's samples are, or by ``uid``, the pairs' ``source_uid``. Vectors leave here
with a length of 1, as the bytes of 32-bit floats; one that is null, zero or not finite is left out.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import UsageError

NAMES, VECTOR, NPY = ("key", "uid"), "vector", ".npy"
ROWS, OPENED_AT_A_TIME = 1 << 13, 16
_KINDS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def embedding_files(files: list[str]) -> list[str]:
    """Those of listed files that hold vectors: the Parquet file beside an ``.npy`` file holds its keys."""
    keys = {_keys_of(file) for file in files if file.endswith(NPY)}
    return [file for file in files if file.endswith((NPY, ".parquet")) and file not in keys]


def named_by(files: list[str], where: str) -> str:
    """What names the rows of all files, ``key`` or ``uid``; ``UsageError`` where they are no embeddings, or differ."""
    with ThreadPoolExecutor(OPENED_AT_A_TIME) as pool:
        found = list(pool.map(_described, files))
    for file, (name, length, wrong) in zip(files, found, strict=True):
        if wrong is None and (name, length) != found[0][:2]:
            wrong = f"has vectors of {length} by {name}, {files[0]} has {found[0][1]} by {found[0][0]}"
        if wrong:
            raise UsageError(f"{where}: {file}: {wrong}")
    return found[0][0]


def vectors_of(file: str, name: str) -> Iterator[pa.RecordBatch]:
    """The rows of a file: ``name`` as text, and ``vector`` as bytes."""
    parts = _npy_parts(file, name) if file.endswith(NPY) else _parquet_parts(file, name)
    for names, vectors in parts:
        lengths = np.linalg.norm(vectors, axis=1)
        good = np.isfinite(lengths) & (lengths > 0) & names.is_valid().to_numpy(zero_copy_only=False)
        unit = (vectors[good] / lengths[good, None]).astype(np.float32)
        yield pa.record_batch({name: names.filter(pa.array(good)).cast(pa.string()), VECTOR: as_bytes(unit)})


def as_bytes(vectors: np.ndarray) -> pa.Array:
    """Vectors (float32) as an array of their bytes."""
    width = 4 * vectors.shape[1]
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * width
    content = np.ascontiguousarray(vectors).view(np.uint8).reshape(-1)
    return pa.BinaryArray.from_buffers(pa.binary(), len(vectors), [None, pa.py_buffer(offsets), pa.py_buffer(content)])


def as_matrix(vectors: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The vectors of an array of bytes as a matrix."""
    chunks = vectors.chunks if isinstance(vectors, pa.ChunkedArray) else [vectors]
    parts = []
    for chunk in chunks:
        if len(chunk):
            offsets = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            content = np.frombuffer(chunk.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
            parts.append(content.view(np.float32).reshape(len(chunk), -1))
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def _keys_of(file: str) -> str:
    return file.removesuffix(NPY) + ".parquet"


def _described(file: str) -> tuple[str | None, int, str | None]:
    """What names the rows of a file, the length of its vectors, and what is wrong with it."""
    npy = file.endswith(NPY)
    try:
        with _open(_keys_of(file) if npy else file) as opened:
            parquet = pq.ParquetFile(opened)
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
            name = next((name for name in NAMES if name in schema.names), None)
            if name is None:
                return None, 0, f"{'the Parquet file beside it ' if npy else ''}has no column key or uid"
            if not npy:
                return name, *_length(parquet, schema)
        with _open(file) as opened:
            shape, _, dtype = _npy_header(opened)
    except (OSError, ValueError, pa.ArrowException) as error:
        return None, 0, str(error).splitlines()[0]
    if len(shape) != 2 or dtype.kind != "f":
        return name, 0, f"has {dtype} in {len(shape)} dimensions, vectors of floats are allowed"
    wrong = f"has {shape[0]:,} vectors, the Parquet file beside it {rows:,} rows" if shape[0] != rows else None
    return name, shape[1], wrong


def _length(parquet: pq.ParquetFile, schema: pa.Schema) -> tuple[int, str | None]:
    kind = schema.field(VECTOR).type if VECTOR in schema.names else None
    if kind is None or not any(is_list(kind) for is_list in _KINDS) or not pa.types.is_floating(kind.value_type):
        return 0, f"has no column {VECTOR} with lists of floats"
    if pa.types.is_fixed_size_list(kind):
        return kind.list_size, None
    first = next(parquet.iter_batches(1, columns=[VECTOR]), None)
    return (len(first.column(0)[0].as_py() or ()) if first and first.num_rows else 0), None


def _parquet_parts(file: str, name: str) -> Iterator[tuple[pa.Array, np.ndarray]]:
    with _open(file) as opened:
        for batch in pq.ParquetFile(opened).iter_batches(ROWS, columns=[name, VECTOR]):
            there = batch.filter(batch.column(VECTOR).is_valid())
            if there.num_rows:
                lengths = pc.unique(pc.list_value_length(there.column(VECTOR)))
                if len(lengths) > 1:
                    raise UsageError(f"{file}: has vectors of {lengths[0]} and of {lengths[1]}")
                values = there.column(VECTOR).flatten().to_numpy(zero_copy_only=False)
                yield there.column(name), values.astype(np.float32).reshape(there.num_rows, -1)


def _npy_parts(file: str, name: str) -> Iterator[tuple[pa.Array, np.ndarray]]:
    with _open(_keys_of(file)) as keys, _open(file) as opened:
        shape, fortran, dtype = _npy_header(opened)
        if fortran:
            raise UsageError(f"{file}: is in the order of columns (Fortran's); rows are allowed")
        for batch in pq.ParquetFile(keys).iter_batches(ROWS, columns=[name]):
            content = opened.read(batch.num_rows * shape[1] * dtype.itemsize)
            yield batch.column(0), np.frombuffer(content, dtype).reshape(batch.num_rows, -1).astype(np.float32)


def _npy_header(opened: pa.NativeFile) -> tuple[tuple[int, ...], bool, np.dtype]:
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(opened)
    if version not in read:
        raise ValueError(f"is of version {version[0]}.{version[1]} of npy, 1.0 and 2.0 are allowed")
    return read[version](opened)


def _open(file: str) -> pa.NativeFile:
    filesystem, path = storage.open_filesystem(file)
    return filesystem.open_input_file(path)
