"""A finished output as a report reads it: records, entries, and samples of its tables that fit in memory.

Tables are in the order of pair_id, which is a hash, so the first rows of a table are a random sample of it.
"""

import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import record, storage
from pipeline.balance.counts import COUNTS, ListCounts, flat_ids
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.recipe_file import parse
from pipeline.record import Record

SAMPLE, END = 1 << 16, 1 << 63
LATER = {"filtered": "Passed the filter", "final": "Balanced again"}
MATCH_COLUMNS = ["pair_id", "text", "url", "language", "entry_list", "entries", "width", "height"]


@dataclass(frozen=True)
class Entries:
    """Every entry of every list, flat, lists one after the other: names, counts of the pool, probabilities, kept.

    ``factor``: of the pairs that have it, where the shares of groups are capped.
    """

    sizes: dict[str, int]
    names: pa.Array
    count: np.ndarray
    probability: np.ndarray
    kept: np.ndarray
    factor: np.ndarray | None = None

    @cached_property
    def starts(self) -> dict[str, int]:
        """The flat index at which each list starts."""
        ends = np.cumsum([0, *self.sizes.values()])
        return {name: int(start) for name, start in zip(self.sizes, ends, strict=False)}

    @cached_property
    def list_numbers(self) -> np.ndarray:
        """The number of each entry's list."""
        return np.repeat(np.arange(len(self.sizes)), list(self.sizes.values()))

    def slice(self, name: str) -> slice:
        """The entries of a list."""
        return slice(self.starts[name], self.starts[name] + self.sizes[name])

    def counts(self) -> ListCounts:
        """The pool's counts, as balancing has them."""
        found = ListCounts(self.sizes)
        found.counts = self.count
        return found


@dataclass(frozen=True)
class Output:
    """The folder of a finished output, its recipe as plain values, and the records of its stages in order.

    ``tables``: those of its stages; others may lie there, of what the recipe had before.
    """

    folder: str
    recipe: dict[str, Any]
    records: list[dict[str, Any]]
    tables: frozenset[str]

    @classmethod
    def open(cls, folder: str, stages: dict[str, Iterable[str]]) -> "Output":
        """The output in a folder; ``stages``: the tables of each stage, in order. Raises ``UsageError`` without one."""
        recipe = storage.join(folder, "recipe.yaml")
        if not storage.exists(recipe):
            raise UsageError(f"{folder}: no output of this project (recipe.yaml is missing)")
        content = parse(storage.read_bytes(recipe).decode("utf-8", "replace"), recipe)
        read = (storage.read_json(storage.join(folder, record.FOLDER, f"{stage}.json")) for stage in stages)
        records = [found for found in read if _is_record(found)]
        tables = frozenset(table for found in records for table in stages.get(found["stage"], ()))
        return cls(folder, content if isinstance(content, dict) else {}, records, tables)

    @classmethod
    def of(cls, folder: str, recipe: Recipe, records: list[Record], tables: Iterable[str]) -> "Output":
        """The output of a run that is at its end."""
        return cls(folder, recipe.model_dump(), [asdict(found) for found in records], frozenset(tables))

    def has(self, table: str, columns: set[str] = frozenset()) -> bool:
        """Whether a table is there, with those columns."""
        path = storage.join(self.folder, table)
        found = Files.of(path) if table in self.tables and storage.exists(path) else None
        return bool(found and found.paths) and columns <= set(found.schema().names)

    @property
    def balanced(self) -> bool:
        """Whether the tables of balancing are there, as this version writes them or one before."""
        tables = {"entry_counts": {"entry_list", "entry", "count", "probability"}, "matched": set(MATCH_COLUMNS)}
        tables |= {"thresholds": {"entry_list", "t", "pairs"}, "curated": set(MATCH_COLUMNS)}
        return all(self.has(table, columns) for table, columns in tables.items())

    def files(self, table: str) -> Files:
        """The files of a table."""
        return Files.of(storage.join(self.folder, table))

    def section(self, name: str) -> dict[str, Any]:
        """A group of keys of the recipe; empty where it is not there."""
        found = self.recipe.get(name)
        return found if isinstance(found, dict) else {}

    def notes(self, stage: str) -> dict[str, Any]:
        """What a stage noted; empty where it did not run."""
        return next((found["notes"] for found in self.records if found["stage"] == stage), {})

    def later(self) -> list[tuple[str, int]]:
        """What later stages left of ``curated``: a title and the rows of each of their tables."""
        return [(title, self.rows(table)) for table, title in LATER.items() if self.has(table)]

    def rows(self, table: str) -> int:
        """The rows of a table, from its footers."""
        return sum(_metadata(path).num_rows for path in self.files(table).paths)

    def read(self, table: str) -> pa.Table:
        """A table of a row a list, whole."""
        return pa.concat_tables(pq.read_table(_opened(path)) for path in self.files(table).paths)

    def sample(self, table: str, columns: list[str]) -> pa.Table:
        """A random sample of a table of pairs, by ascending pair_id: ``SAMPLE`` rows, those columns that it has.

        It begins at the pair_id 0, as the first shard does, whose keys are unsigned.
        """
        files = self.files(table)
        schema = files.schema()
        columns = [name for name in columns if name in schema.names]
        held, rows = [], 0
        for batch in itertools.chain(files.read_ids(0, END, columns), files.read_ids(-END, 0, columns)):
            held.append(batch)
            rows += batch.num_rows
            if rows >= SAMPLE:
                break
        empty = pa.schema([schema.field(name) for name in columns])
        return pa.Table.from_batches(held, empty)[:SAMPLE].sort_by("pair_id").combine_chunks()

    @cached_property
    def left(self) -> pa.Table:
        """A sample of the curated pairs."""
        return self.sample("curated", MATCH_COLUMNS)

    @cached_property
    def matched(self) -> pa.Table:
        """A sample of the pairs that matched."""
        return self.sample("matched", MATCH_COLUMNS)

    @cached_property
    def removed(self) -> np.ndarray:
        """The pair_ids of removed near-duplicates among the sample ``matched``, ascending."""
        ids = self.matched["pair_id"].to_numpy()
        if not self.has("clusters") or not len(ids):
            return np.zeros(0, np.int64)
        batches = self.files("clusters").read_ids(int(ids[0]), int(ids[-1]) + 1, ["pair_id", "kept"])
        gone = (batch.filter(pc.invert(batch.column("kept"))) for batch in batches)
        found = [batch.column("pair_id").to_numpy() for batch in gone]
        return np.sort(np.concatenate([np.zeros(0, np.int64), *found]))

    @cached_property
    def entries(self) -> Entries:
        """The entries; what is kept of each is estimated from the sample where the table does not say it."""
        entries, told = read_entries(self.files("entry_counts").paths)
        if told:
            return entries
        ids, _ = flat_ids(self.left["entry_list"].combine_chunks(), list_array(self.left), entries.starts)
        scale = self.rows("curated") / max(1, self.left.num_rows)
        kept = np.round(np.bincount(ids, minlength=len(entries.count)) * scale).astype(np.int64)
        return replace(entries, kept=kept)

    @cached_property
    def matches(self) -> np.ndarray:
        """The matches of each entry before duplicates were removed, flat."""
        folder = storage.join(self.folder, "matched", COUNTS)
        if not storage.exists(folder):
            return self.entries.count
        counted = pa.concat_tables(pq.read_table(_opened(path)) for path in Files.of(folder).paths)
        return ListCounts.of(self.entries.sizes, counted).counts


def _is_record(found: Any) -> bool:
    """Whether that is a stage's record, of this version or one before."""
    kinds = {"stage": str, "rows_in": int, "rows_out": int, "dropped": dict, "notes": dict, "seconds": int | float}
    return isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in kinds.items())


def read_entries(paths: Iterable[str]) -> tuple[Entries, bool]:
    """The entries of the files of ``entry_counts``, and whether they tell what is kept of each (else that is zero)."""
    read = [pq.read_table(_opened(path), read_dictionary=["entry_list"]) for path in paths]
    table = pa.concat_tables(read).unify_dictionaries().combine_chunks()
    lists = table["entry_list"].combine_chunks()
    numbers = np.bincount(lists.indices.to_numpy(), minlength=len(lists.dictionary))
    sizes = dict(zip(lists.dictionary.to_pylist(), map(int, numbers), strict=True))
    count, told = table["count"].to_numpy(), "kept" in table.column_names
    kept = table["kept"].to_numpy() if told else np.zeros(len(count), np.int64)
    factor = table["group_factor"].to_numpy() if "group_factor" in table.column_names else None
    return Entries(sizes, table["entry"].combine_chunks(), count, table["probability"].to_numpy(), kept, factor), told


def list_array(table: pa.Table) -> pa.ListArray:
    """The column ``entries`` as one array."""
    return table["entries"].combine_chunks()


def _opened(path: str):
    filesystem, inner = storage.open_filesystem(path)
    return filesystem.open_input_file(inner)


def _metadata(path: str) -> pq.FileMetaData:
    with _opened(path) as file:
        return pq.read_metadata(file)
