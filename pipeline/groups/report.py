"""Groups in an output: how often each is named in every table of pairs, and against the pool; two groups together."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.buckets.files import Files, read_file
from pipeline.errors import UsageError
from pipeline.groups.counts import Counter, Counts, added_up
from pipeline.groups.figures import ratio, share
from pipeline.groups.terms import Groups

# From the pool to the set, as far as a recipe goes.
TABLES = ("pairs", "matched", "curated", "filtered", "final")
ROWS_HERE = 1_000_000  # tables of fewer rows are counted without other processes
_counter: Counter | None = None


def count_tables(folders: list[str], files: list[Groups], pairs: list[tuple[str, str]]) -> list[Counts]:
    """The counts over each of several tables of pairs: small ones here, large ones with a process a core."""
    tables = [Files.of(folder) for folder in folders]
    every = [path for table in tables for path in table.paths]
    if sum(table.rows() for table in tables) < ROWS_HERE:
        counter = Counter(files, pairs)
        parts = [counter.count(_texts(path)) for path in every]
    else:
        with ProcessPoolExecutor(os.cpu_count(), initializer=_start, initargs=(files, pairs)) as pool:
            parts = list(pool.map(_count_file, every))
    totals = []
    for table in tables:
        totals.append(added_up(parts[: len(table.paths)]))
        parts = parts[len(table.paths) :]
    return totals


def _start(files: list[Groups], pairs: list[tuple[str, str]]) -> None:
    global _counter
    _counter = Counter(files, pairs)


def _count_file(path: str) -> Counts:
    return _counter.count(_texts(path))


def _texts(path: str) -> Iterator[pa.Array]:
    return (batch.column("text") for batch in read_file(path, ["text"]))


def report(output: str, files: list[Groups], pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """By table its rows, and by file and group the count, the share with its interval, and its ratio to the pool's.

    ``together``: for each two files, by groups of both, the count and its share of the first group's texts. Raises
    ``UsageError`` where ``output`` has no table of pairs.
    """
    place = storage.absolute(output)
    there = [table for table in TABLES if Files.of(storage.join(place, table)).paths]
    if not there:
        raise UsageError(f"{output}: none of the tables {', '.join(TABLES)} is there")
    counts = dict(zip(there, count_tables([storage.join(place, table) for table in there], files, pairs), strict=True))
    return {"sources": {groups.name: groups.source for groups in files},
            "tables": {table: of_table(counts[table], counts[there[0]], files) for table in there}}  # fmt: skip


def of_table(counts: Counts, before: Counts, files: list[Groups]) -> dict[str, Any]:
    """The figures of one table, beside those of the pool."""
    found: dict[str, Any] = {"rows": counts.rows, "groups": {}, "together": {}}
    for groups in files:
        lines = zip(groups.terms, counts.named[groups.name], before.named[groups.name], strict=True)
        found["groups"][groups.name] = {
            name: share(int(now), counts.rows) | {"to_pool": ratio(int(now), counts.rows, int(then), before.rows)}
            for name, now, then in lines
        }
    names = {groups.name: list(groups.terms) for groups in files}
    for (a, b), matrix in counts.together.items():
        found["together"][f"{a} and {b}"] = {
            one: {
                other: share(int(both), int(counts.named[a][row]))
                for other, both in zip(names[b], matrix[row], strict=True)
            }
            for row, one in enumerate(names[a])
            if counts.named[a][row]
        }
    return found
