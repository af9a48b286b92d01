"""One run of some stages: what each of them gets."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import record, storage, tables
from pipeline.entries.lists import EntryList
from pipeline.ingest.plan import Plan
from pipeline.recipe import Recipe
from pipeline.tables import Account

LISTS = "_lists"  # in `matched`: the entry lists that its ids are of
COUNTS = "_counts"  # in `matched`: the entry counts of its pairs; in `clusters`: of those that were removed

# What a stage returns: the account of its rows, and notes for summary and README.
Outcome = tuple[Account, dict[str, Any]]


@dataclass
class Run:
    """The recipe, the output folder, the folder with the tables of the stages before, and the session.

    ``plan`` is there for ``ingest`` and ``lists`` for ``match``: both are looked at before any stage starts.
    ``force``: what is there already is not to be used. ``work``: where rows are cut, where not in the output's staging.
    """

    recipe: Recipe
    output: str
    source: str
    session: tables.SparkSession
    plan: Plan | None = None
    lists: dict[str, EntryList] | None = None
    force: bool = False
    work: str | None = None

    def folder(self, name: str) -> str:
        """The folder of a finished table: in the source, else in the output."""
        there = storage.join(self.source, name)
        return there if storage.exists(there) else storage.join(self.output, name)

    def table(self, name: str) -> tables.DataFrame:
        """A finished table."""
        return tables.read(self.session, self.folder(name))

    def notes(self, stage: str) -> dict[str, Any]:
        """The notes of a finished stage: of the source, else of the output."""
        return (record.load(self.source, stage) or record.load(self.output, stage)).notes

    def cut(self, rows: tables.DataFrame, name: str) -> tables.DataFrame:
        """Writes rows to staging and reads them back."""
        return tables.write(rows, self.work or self.output, name)

    def work_folder(self, name: str) -> str:
        """A new, empty folder for what is only on its way."""
        return tables.new_folder(self.work or self.output, name)

    @cached_property
    def entry_lists(self) -> dict[str, pa.Array]:
        """The entry lists that the ids in ``matched`` are of, by name."""
        folder = storage.join(self.folder("matched"), LISTS)
        return {
            name.removesuffix(".parquet"): _entries(storage.read_bytes(storage.join(folder, name)))
            for name in storage.names(folder)
            if name.endswith(".parquet")
        }

    @property
    def list_sizes(self) -> dict[str, int]:
        """The number of entries of each list."""
        return {name: len(entries) for name, entries in self.entry_lists.items()}


def _entries(content: bytes) -> pa.Array:
    return pq.read_table(pa.BufferReader(content))["entry"].combine_chunks()
