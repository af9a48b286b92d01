"""A command's request, the finished stages that it may read, and the run that a stage gets of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage, tables
from pipeline.engine import Session
from pipeline.errors import PipelineError
from pipeline.recipe import Recipe
from pipeline.record import Record
from pipeline.tables import Account

# Folders in staging where rows are added to a finished output: pairs that are new or changed, and those whose place
# they take; then those of both that match.
ADDED, REPLACED, MATCHED_ADDED, MATCHED_REPLACED = "pairs-added", "pairs-replaced", "matched-added", "matched-replaced"
LISTS = "_lists"  # in `matched`: the entry lists that its ids are of
# In the notes of `dedupe`: how many texts were taken out since, which may have held clusters together.
TAKEN_OUT = "taken_out"

# What a stage returns: the account of its rows, and notes for summary and README.
Outcome = tuple[Account, dict[str, Any]]


def record_of(stage: str, origin: dict[str, Any], outcome: Outcome) -> Record:
    """The record of what a stage returned, without seconds and files. Raises ``PipelineError`` where rows are lost."""
    account, notes = outcome
    if not account.balanced():
        raise PipelineError(
            f"{stage}: {account.rows_in:,} rows in, but {account.rows_out:,} out and {account.dropped} dropped: rows "
            "are lost or doubled; this is a bug, please report it"
        )
    rows = {"rows_in": account.rows_in, "rows_out": account.rows_out, "dropped": account.dropped}
    return Record(stage, **origin, **rows, seconds=0.0, notes=notes)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks for: a recipe, the output folder, and the one with the tables of the stages before.

    ``force``: what is there already is not to be used. ``strict``: a damaged input file ends the run. ``added``: those
    of the recipe's input paths that are new to a finished output, to whose tables they are added.
    """

    recipe: Recipe
    output: str
    source: str
    force: bool = False
    strict: bool = False
    added: tuple[str, ...] = ()


@dataclass
class Finished:
    """Finished stages whose tables belong together: their records, and the output that each of their folders is in."""

    records: dict[str, Record] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record, folders: Iterable[str], output: str) -> None:
        """Takes in a stage."""
        self.records[record.stage] = record
        self.places |= dict.fromkeys(folders, output)

    def origins(self) -> dict[str, dict[str, Any]]:
        """What the tables come from, near and far: fingerprint and ``depends`` by stage."""
        return {name: origin for record in self.records.values() for name, origin in record.origins().items()}

    def copy(self) -> "Finished":
        """The same, to add more to."""
        return Finished(dict(self.records), dict(self.places))


@dataclass(frozen=True, kw_only=True)
class Run(Request):
    """A request on its way through one stage: the session, what the stage's check found, what is finished.

    ``work``: where rows are cut, where not in the output's staging.
    """

    session: Session
    finished: Finished
    found: Any = None
    work: str | None = None

    def folder(self, name: str) -> str:
        """The folder of a finished table of a stage before."""
        return storage.join(self.finished.places[name], name)

    def before(self, name: str) -> str:
        """The folder of a finished table that is added to, as it was."""
        return storage.join(self.output, name)

    def table(self, name: str) -> tables.DataFrame:
        """A finished table of a stage before."""
        return tables.read(self.session, self.folder(name))

    def notes(self, stage: str) -> dict[str, Any]:
        """The notes of a finished stage."""
        return self.finished.records[stage].notes

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
