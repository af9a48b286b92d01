"""What is asked for: a URL, an image_id, a pair_id, a shard's key or a text, and the pairs that it may be."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.buckets.files import Files
from pipeline.buckets.keys import overlapping
from pipeline.errors import UsageError
from pipeline.explain.index import find, image_key, text_key
from pipeline.ingest.convert import as_url
from pipeline.recipe import Recipe
from pipeline.report.page.source import Output

KINDS = ("url", "image_id", "pair_id", "key", "text")
_FORMS = {"image_id": r"[0-9a-f]{24}", "key": r"[0-9a-f]{16}", "pair_id": r"-?[0-9]{1,19}", "url": r"\S*://\S+|//\S+"}


def kind_of(what: str) -> str:
    """What a text on the command line is taken for."""
    return next((kind for kind, form in _FORMS.items() if re.fullmatch(form, what.strip())), "text")


def as_number(kind: str, what: str) -> int:
    """The pair_id of a pair_id or key. Raises ``UsageError`` for what is none."""
    what = what.strip()
    if kind == "key" and re.fullmatch("[0-9a-fA-F]{16}", what):
        return int(np.uint64(int(what, 16)).view(np.int64))
    if kind == "pair_id" and re.fullmatch(_FORMS[kind], what) and -(2**63) <= int(what) < 2**63:
        return int(what)
    raise UsageError(f"{what}: no {kind}: allowed are {'16 hex digits' if kind == 'key' else 'numbers of 64 bits'}")


def checked_image_id(what: str) -> str:
    """An image_id as it is kept. Raises ``UsageError`` for what is none."""
    found = what.strip().lower()
    if not re.fullmatch(_FORMS["image_id"], found):
        raise UsageError(f"{what}: no image_id: allowed are 24 hex digits")
    return found


def as_image_id(url: str) -> str:
    """The image_id of a URL."""
    return hashlib.sha224(url.encode()).hexdigest()[:24]


def clean_url(url: str) -> str:
    """A URL as the pool's are kept."""
    return as_url(pa.array([url]))[0].as_py()


@dataclass(frozen=True)
class Set:
    """A finished output with its recipe, and what finds rows in its tables."""

    output: Output
    recipe: Recipe

    def record(self, stage: str) -> dict[str, Any] | None:
        """The record of a stage; None where it is not finished."""
        return next((found for found in self.output.records if found["stage"] == stage), None)

    @cached_property
    def pool(self) -> str:
        """The first table of pairs that is here. Raises ``UsageError`` where there is none."""
        found = next((table for table in ("pairs", "matched") if self.output.has(table)), None)
        if found is None:
            raise UsageError(f"{self.output.folder}: has no table pairs or matched; give the output that has them")
        return found

    def files(self, table: str) -> Files:
        """The files of a table."""
        return self.output.files(table)

    def row(self, table: str, pair_id: int) -> dict[str, Any] | None:
        """The row of a pair in a table that lies by pair_id; None where it is not there."""
        rows = [row for batch in self.files(table).read_ids(pair_id, pair_id + 1) for row in batch.to_pylist()]
        return rows[0] if rows else None

    def file_of(self, table: str, pair_id: int) -> str:
        """The path, below the output, of the file that a pair of a table is in."""
        paths = self.files(table).paths
        path = paths[overlapping(pair_id, pair_id + 1, len(paths))[0]]
        return f"{table}/{storage.base_name(path)}"

    def pairs_of(self, kind: str, value: str) -> list[int]:
        """The pair_ids of an image_id or of a text, in the first table of pairs."""
        key = image_key(value) if kind == "image_id" else text_key(value)
        stage = {"pairs": "ingest", "matched": "match"}[self.pool]
        index = "image" if kind == "image_id" else "text"
        ids = find(self.output.folder, index, key, self.files(self.pool), self._made_of(stage))
        return [int(pair_id) for pair_id in ids]

    def members(self, cluster_id: int) -> list[int]:
        """The pair_ids of a cluster of near-duplicates, ascending."""
        ids = find(self.output.folder, "cluster", cluster_id, self.files("clusters"), self._made_of("dedupe"))
        return [int(pair_id) for pair_id in ids]

    def _made_of(self, stage: str) -> str:
        """What stands for the content of a stage's tables: as long as that is here, the index is of it."""
        found = self.record(stage) or {}
        files = [line["sha256"] for line in found.get("files", [])]
        return hashlib.sha256("".join([found.get("fingerprint", ""), *files]).encode()).hexdigest()
