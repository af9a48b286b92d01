"""The session of a run without Java: it hands tasks to processes of this machine, in place of a SparkSession."""

import os
import shutil
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import cloudpickle
import pyarrow as pa

from pipeline.local.rows import Part, Rows
from pipeline.local.task import Job, Numbers
from pipeline.local.workers import Workers


@dataclass(frozen=True)
class Broadcast:
    """A value for all tasks."""

    value: Any


@dataclass(frozen=True)
class Progress:
    """How many of the running tasks have ended."""

    done: int
    tasks: int


class LocalSession:
    """Tasks in processes of this machine."""

    def __init__(self, workers: Workers):
        self.defaultParallelism, self.folder = workers.cores, workers.folder
        self._workers = workers
        self._files: dict[str, str] = {}
        self._jobs = 0
        self._progress: Progress | None = None
        self._turn = threading.Lock()  # Programs may have several threads, and workers do one job at a time.

    @property
    def sparkContext(self) -> "LocalSession":
        """What a SparkContext would do."""
        return self

    def broadcast(self, value: Any) -> Broadcast:
        """The value for all tasks."""
        return Broadcast(value)

    def addFile(self, url: str) -> None:
        """Lets tasks find a file of this machine (``file://``) by its name."""
        path = unquote(urlsplit(url).path)
        self._files[Path(path).name] = path

    def range(self, start: int, end: int, step: int, tasks: int) -> Rows:
        """Numbers from ``start`` to ``end``, in steps of 1, as many to each task as can be."""
        bounds = [start + (end - start) * task // tasks for task in range(tasks + 1)] if tasks else []
        parts = [Part(Numbers(a, b)) for a, b in pairwise(bounds)]
        return Rows(self, parts, pa.schema({"id": pa.int64()}))

    def run(self, parts: list[Part], end: Any) -> list[Any]:
        """What ``end`` gives of the rows of each part."""
        with self._turn:
            return self._run(parts, end)

    def _run(self, parts: list[Part], end: Any) -> list[Any]:
        functions = list(dict.fromkeys(part.functions for part in parts))
        place = {chain: number for number, chain in enumerate(functions)}
        self._jobs += 1
        file = os.path.join(self.folder, f"job-{self._jobs}")
        with open(file, "wb") as sink:
            cloudpickle.dump(Job(tuple(functions), end, dict(self._files)), sink)
        found: list[Any] = [None] * len(parts)
        self._progress = Progress(0, len(parts))
        tasks = [(place[part.functions], part.source) for part in parts]
        for number, result in self._workers.run(file, tasks):
            found[number] = result
            self._progress = Progress(self._progress.done + 1, len(parts))
        self._progress = None
        os.remove(file)
        return found

    def done(self) -> str:
        """What its tasks have done, for a person."""
        progress = self._progress
        return f"{progress.done}/{progress.tasks} tasks" if progress else ""

    def share_done(self) -> float:
        """The share of the tasks that had ended when one failed."""
        return self._progress.done / self._progress.tasks if self._progress else 0.0

    def stop(self) -> None:
        """Ends its processes."""
        self._workers.close()
        shutil.rmtree(self.folder, ignore_errors=True)
