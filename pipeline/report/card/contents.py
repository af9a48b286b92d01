"""What a finished output holds, as its card and its Croissant description tell it."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipeline.paths import is_url, local
from pipeline.recipe import Recipe

# Tables of pairs, the one of the latest choice first.
CHOSEN = ("final", "filtered", "curated")
SHARDS = "shards"
SECRETS = re.compile(r"(?<=//)[^/@]*@|(?<=\w)\?.*")


@dataclass(frozen=True)
class Contents:
    """An output: its recipe, the summaries of its finished ``stages``, its tables with what each is, and their files.

    ``schemas``: of the Parquet files of each table, by name. ``with_plot``: whether there is a ``distribution.png``.
    ``removals``: what was taken out later, as ``removals.json`` has it.
    """

    recipe: Recipe
    stages: list[dict[str, Any]]
    tables: dict[str, str]
    files: list[dict[str, Any]]
    schemas: dict[str, pa.Schema] = field(default_factory=dict)
    with_plot: bool = False
    removals: list[dict[str, Any]] = field(default_factory=list)

    def parquet(self, table: str) -> list[dict[str, Any]]:
        """The lines of the manifest for the Parquet files of a table, without those of hidden folders in it."""
        return self._parquet.get(table, [])

    @cached_property
    def _parquet(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for line in self.files:
            table, _, name = line["path"].partition("/")
            if name.endswith(".parquet") and "/" not in name:
                found.setdefault(table, []).append(line)
        return found

    def rows(self, table: str) -> int:
        """The rows of a table."""
        return sum(line["rows"] for line in self.parquet(table))

    def digest(self, table: str) -> str:
        """The beginning of a hash of a table's files, one for all."""
        hashes = "".join(f"{line['sha256']}\n" for line in self.parquet(table))
        return hashlib.sha256(hashes.encode()).hexdigest()[:16]

    @property
    def chosen(self) -> str | None:
        """The table of the pairs that the set is; None where balancing is yet to come."""
        return next((table for table in CHOSEN if table in self.tables), None)

    @property
    def readable(self) -> list[str]:
        """The tables that have Parquet files, the chosen one first."""
        return sorted((table for table in self.tables if self.parquet(table)), key=lambda table: table != self.chosen)

    @property
    def samples(self) -> int:
        """The samples in all shards."""
        return self.stage(SHARDS)["out"] if SHARDS in self.tables else 0

    @property
    def shards(self) -> int:
        """The number of shards; 0 where there is no sample in them."""
        return self.note("shards", 0) if self.samples else 0

    @property
    def shards_folder(self) -> str:
        """Where the shards are, as the recipe has it; of a URL no more than what anyone may see."""
        folder = self.note("folder", SHARDS)
        return SECRETS.sub("", folder) if is_url(folder) else local(folder)

    def stage(self, name: str) -> dict[str, Any] | None:
        """The summary of a stage; None where it is not there."""
        return next((line for line in self.stages if line["stage"] == name), None)

    def note(self, key: str, otherwise: Any = None) -> Any:
        """What the latest stage that has such a note says."""
        return next((line[key] for line in reversed(self.stages) if key in line), otherwise)
