"""Rows of tasks, as far as a DataFrame of Spark is needed: functions over Arrow batches, and the shuffle."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.local.task import Extents, Function, Keep, Send, Stored, Together, collect

if TYPE_CHECKING:
    from pipeline.local.session import LocalSession


class Folder:
    """A folder of files that go when nothing refers to it any more."""

    def __init__(self, within: str):
        self.path = tempfile.mkdtemp(dir=within)
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(folder: str, process: int) -> None:
    """Removes a folder of this process, which is none of one that was forked from it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Part:
    """The rows of one task: where they come from, and the functions that they pass through."""

    source: Callable
    functions: tuple[Function, ...] = ()
    folders: tuple[Folder, ...] = ()


class Rows:
    """Rows that tasks read, a part each. As in Spark nothing is done until rows are asked for or change places."""

    def __init__(self, session: "LocalSession", parts: list[Part], schema: pa.Schema):
        self.sparkSession, self.parts, self._schema = session, parts, schema

    def mapInArrow(self, function: Function, schema: pa.Schema) -> "Rows":
        """The rows that ``function`` makes of those of each task."""
        parts = [Part(part.source, (*part.functions, function), part.folders) for part in self.parts]
        return Rows(self.sparkSession, parts, schema)

    def transform(self, function: Callable, *more: Any) -> "Rows":
        """What ``function`` makes of these."""
        return function(self, *more)

    def union(self, other: "Rows") -> "Rows":
        """These rows and others."""
        return Rows(self.sparkSession, [*self.parts, *other.parts], self._schema)

    def repartitionById(self, tasks: int, column: str) -> "Rows":
        """The rows of each target, the number in ``column``, in the order of the column ``part``."""
        folder = Folder(self.sparkSession.folder)
        written = [found for found in self.sparkSession.run(self.parts, Send(folder.path, column)) if found[0]]
        places = np.concatenate([np.zeros((4, 0), np.int64), *(found for _, found in written)], axis=1)
        files = np.repeat(np.arange(len(written)), [found.shape[1] for _, found in written])
        order = np.lexsort((places[1], places[0]))
        (target, _, offset, size), files = places[:, order], files[order]
        ends = np.searchsorted(target, np.arange(tasks + 1))
        names = tuple(file for file, _ in written)
        parts = [
            Part(Extents(names, files[a:b], offset[a:b], size[a:b]), folders=(folder,))
            for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ]
        return Rows(self.sparkSession, parts, self._schema)

    def sortWithinPartitions(self, column: str) -> "Rows":
        """These rows, which are in the order of ``part`` where they changed places."""
        return self

    def kept(self) -> "Rows":
        """These rows, written to a file by each task, so that they are made once."""
        folder = Folder(self.sparkSession.folder)
        parts = [
            Part(Stored(file), folders=(folder,))
            for file, count in self.sparkSession.run(self.parts, Keep(folder.path))
            if count
        ]
        return Rows(self.sparkSession, parts, self._schema)

    def coalesce(self, tasks: int) -> "Rows":
        """The rows in one task; what functions make of them is kept before."""
        if any(part.functions for part in self.parts):
            return self.kept().coalesce(tasks)
        folders = tuple(folder for part in self.parts for folder in part.folders)
        part = Part(Together(tuple(part.source for part in self.parts)), folders=tuple(dict.fromkeys(folders)))
        return Rows(self.sparkSession, [part], self._schema)

    def count(self) -> int:
        """The number of rows."""
        return sum(self.sparkSession.run(self.parts, _count))

    def toArrow(self) -> pa.Table:
        """The rows as one table."""
        batches = [batch for found in self.sparkSession.run(self.parts, collect) for batch in found]
        tables = [pa.ipc.open_stream(batch).read_all() for batch in batches]
        return pa.concat_tables(tables) if tables else self._schema.empty_table()


def _count(rows: Any) -> int:
    return sum(batch.num_rows for batch in rows)
