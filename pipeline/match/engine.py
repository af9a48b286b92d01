"""The seam for matching engines: build one per entry list, save it, load it once a process, match a mixed batch.

An engine is a class with ``build(entries, form)``, ``save(file)``, ``load(file)`` and ``match(texts)``, as
``ReferenceMatcher`` documents them. Any engine must give the reference's match sets.
"""

from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.language.codes import OTHER
from pipeline.match.fast import FastMatcher
from pipeline.match.reference import ReferenceMatcher


class Matcher(Protocol):
    """What matches texts against one entry list."""

    def save(self, file: Path) -> None:
        """Writes the matcher's tables to a file."""

    def match(self, texts: pa.Array) -> pa.ListArray:
        """For each text the sorted, distinct ids (int32) of its entries; null for null."""


ENGINES = {"fast": FastMatcher, "reference": ReferenceMatcher}


def build_file(entries: pa.Array, form: str, engine: str, file: Path) -> None:
    """Builds the matcher of an entry list and saves it, for ``loaded`` in any process.

    It is used once as a worker will, so that compiled code is in its cache before many workers want it at a time.
    """
    ENGINES[engine].build(entries, form).save(file)
    ENGINES[engine].load(file).match(pa.array(["a text"]))


@lru_cache(maxsize=1024)
def loaded(engine: str, file: str) -> Matcher:
    """The matcher of a file, loaded once a process."""
    return ENGINES[engine].load(Path(file))


def choose_list(language: pa.Array, lists: list[str], one_list: bool) -> pa.Array:
    """The list of each pair's language, else ``other``, else null."""
    if one_list:
        return pa.repeat(lists[0], len(language))
    other = pa.scalar(OTHER if OTHER in lists else None, pa.string())
    return pc.if_else(pc.is_in(language, value_set=pa.array(lists)), language, other)


def match_by_list(texts: pa.Array, lists: pa.Array, engine: str, files: dict[str, str]) -> pa.ListArray:
    """The entries of each text, matched against the list named in ``lists`` (null: no list, so null entries).

    ``files`` are the saved matchers by list name. Returns a list<int32> array in the order of the texts.
    """
    names = pc.unique(lists).to_pylist()
    if names == [None] or not names:
        return pa.nulls(len(texts), pa.list_(pa.int32()))
    if len(names) == 1:
        return loaded(engine, files[names[0]]).match(texts)
    rows, parts = [], []
    for name in names:
        chosen = pc.is_null(lists) if name is None else pc.fill_null(pc.equal(lists, name), False)
        where = np.flatnonzero(chosen.to_numpy(zero_copy_only=False))
        rows.append(where)
        parts.append(
            pa.nulls(len(where), pa.list_(pa.int32())) if name is None
            else loaded(engine, files[name]).match(texts.take(pa.array(where)))
        )  # fmt: skip
    order = np.argsort(np.concatenate(rows), kind="stable")
    return pa.concat_arrays(parts).take(pa.array(order))
