"""An output that something is taken out of: its recipe, the records of all of its stages, and what lies in it."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.files import Files, read_file
from pipeline.buckets.keys import among
from pipeline.match.fast import text_buffers
from pipeline.recipe import Recipe
from pipeline.recipe_file import found_path
from pipeline.record import Record
from pipeline.tombstones.values import DIGITS

# Tables of pairs, in the order of the stages; each has what the ones behind it have.
BY_PAIR = ("pairs", "matched", "clusters", "curated", "filtered", "final")
POOLS = ("pairs", "matched", "curated", "filtered", "final")
# Tables of a row an image, in no order.
BY_IMAGE = ("images", "image_hashes")
FETCHED, EXTRACTED, SHARDS = "fetched", "extracted", "shards"
THREADS = 4
ID = f"S{DIGITS}"
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """``records``: of every stage that is finished there, also of those that the recipe has no more."""

    output: str
    recipe: Recipe
    records: dict[str, Record]

    def path(self, below: str) -> str:
        """The path of what lies below the output."""
        return storage.join(self.output, *below.split("/"))

    def files(self, table: str) -> tuple[str, ...]:
        """The files of a table, below the output; none where it is not there."""
        return tuple(f"{table}/{storage.base_name(path)}" for path in Files.of(self.path(table)).paths)

    @property
    def pool(self) -> str | None:
        """The first table of pairs that is here."""
        return next((table for table in POOLS if self.files(table)), None)

    @property
    def stores(self) -> list[str]:
        """The folders with fetched images: that of the set, and those that were begun otherwise."""
        names = storage.names(self.output)
        return [name for name in names if name == FETCHED or name.startswith(f".{FETCHED}-")]

    @property
    def shards(self) -> str:
        """The folder of the tars."""
        folder = self.recipe.shards.folder
        return self.path(SHARDS) if folder is None else found_path(folder)

    @property
    def indexes(self) -> list[str]:
        """The paths of the indexes of tars."""
        names = storage.names(self.shards) if storage.exists(self.shards) else []
        return [storage.join(self.shards, name) for name in names if name.endswith(".parquet")]

    def rows(self, path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of a file below the output."""
        return read_file(self.path(path), columns)

    def rows_of(self, path: str, ids: np.ndarray, columns: list[str]) -> pa.Table:
        """The rows of a file whose pair_id is one of ``ids``, which ascend."""
        held = []
        for batch in self.rows(path, ["pair_id", *columns]):
            hit = among(batch.column("pair_id").to_numpy(), ids)
            if hit.any():
                held.append(batch.filter(pa.array(hit)))
        return pa.Table.from_batches(held) if held else schema_of(self.path(path), ["pair_id", *columns]).empty_table()


def in_threads(work: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    """What ``work`` gives for each item, in order; Arrow and the compiled loops run beside each other."""
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, items))


def schema_of(path: str, columns: list[str] | None = None) -> pa.Schema:
    """The schema of a Parquet file, or of some of its columns."""
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        schema = pq.read_schema(file)
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file as it is, whole; of ``columns`` those that it has."""
    filesystem, inner = storage.open_filesystem(path)
    with pq.ParquetFile(filesystem.open_input_file(inner)) as file:
        there = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        return file.read(there)


def table_bytes(table: pa.Table, **options: Any) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **({"compression": "zstd"} | options))
    return sink.getvalue().to_pybytes()


def as_ids(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """image_ids as NumPy has texts of one length."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    data, offsets = text_buffers(column)
    if len(column) and (np.diff(offsets) == DIGITS).all():
        return data[offsets[0] : offsets[-1]].view(ID)
    return np.array(pc.fill_null(column, "").to_pylist(), ID) if len(column) else np.zeros(0, ID)


def union(parts: Iterable[np.ndarray], kind: Any) -> np.ndarray:
    """The distinct values of all parts, ascending."""
    return np.unique(np.concatenate([np.zeros(0, kind), *parts]))
