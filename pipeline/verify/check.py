"""``verify``: all checks in order, each only over files that are what the manifest says."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from pipeline import storage
from pipeline.progress import counting
from pipeline.recipe import Recipe, pairs_table
from pipeline.record import FOLDER
from pipeline.remove.place import POOLS
from pipeline.remove.work import is_left
from pipeline.verify.accounts import check_accounts
from pipeline.verify.balance import check_balance
from pipeline.verify.files import Advance, check_files
from pipeline.verify.opened import Opened, with_records
from pipeline.verify.recipe import check_recipe
from pipeline.verify.removed import check_removed, removed
from pipeline.verify.shards import check_shards
from pipeline.verify.tables import check_ids, check_table

SHARDS = "shards"  # the stage, and its folder
T = TypeVar("T")
UNREADABLE = (OSError, pa.ArrowException, KeyError, ValueError)


@dataclass(frozen=True)
class Written:
    """What a project of this version writes: the folders of each stage, the names in an output, columns of tables."""

    folders: dict[str, tuple[str, ...]]
    names: frozenset[str]
    columns: dict[str, pa.Schema]


def verify(output: str, recipe: Recipe | None, stages: list[str], written: Written) -> Iterator[str]:
    """Yields a line for each thing that is wrong; ``recipe``: None where it cannot be read. ``stages``: those it has.

    What follows from a damaged file is not said again: tables are held against each other where their files are whole.
    """
    found = with_records(output, recipe, stages)
    yield from found.wrong
    if is_left(output):
        yield ".removal: a removal is not finished; remove or curate ends it"
    folders = [folder for stage in stages if stage in found.records for folder in written.folders[stage]]
    yield from _names(found, written)
    total = sum(line["bytes"] for line in (*found.files.values(), *found.described.values()))
    damaged = _collected("Reading files", total, "bytes", lambda advance: check_files(found, folders, advance))
    yield from (f"{path}: {wrong}" for path, wrong in damaged)
    bad = {path for path, _ in damaged}
    if recipe is not None:
        yield from check_recipe(found)
    yield from check_accounts(found)
    usable = {folder for folder in folders if found.of_table(folder) and not bad & set(found.of_table(folder))}
    tables = [folder for folder in folders if folder in usable and folder != SHARDS]
    yield from _collected(
        "Comparing tables", sum(map(found.rows, tables)), "rows",
        lambda advance: _tables(found, tables, usable, written.columns, advance),
    )  # fmt: skip
    if recipe is None:
        return
    yield from _content(found, usable)
    if SHARDS in found.records and f"{SHARDS}/manifest.json" not in bad:
        whole = frozenset(found.files) - bad
        size = sum(found.files[path]["bytes"] for path in found.of_table(SHARDS) if path.endswith(".tar"))
        yield from _collected(
            "Reading shards", size, "bytes",
            lambda advance: _read(SHARDS, check_shards(found, whole.__contains__, advance)),
        )  # fmt: skip


def _collected(title: str, total: int, unit: str, check: Callable[[Advance], Iterable[T]]) -> list[T]:
    """What a check finds, once its progress is no longer shown, so that the two do not mix on a terminal."""
    with counting(title, total, unit) as advance:
        return list(check(advance))


def _tables(
    found: Opened, tables: list[str], usable: set[str], columns: dict[str, pa.Schema], advance: Advance
) -> Iterator[str]:
    for table in tables:
        yield from _read(table, check_table(found, table, columns.get(table), usable))
        advance(found.rows(table))


def _content(found: Opened, usable: set[str]) -> list[str]:
    """The last table of pairs against hashes, and the drawn ones against their entries."""
    last = [table for table in [pairs_table(found.recipe)] if table in usable]
    first = [table for table in POOLS if table in usable][:1] if removed(found) else []
    drawn = [("curated", "entry_counts"), ("final", "final_entry_counts")]
    drawn = [(table, entries) for table, entries in drawn if {table, entries} <= usable]

    def check(advance: Advance) -> Iterator[str]:
        for table in last:
            yield from _read(table, check_ids(found, table, advance))
        for table in first:
            yield from _read(table, check_removed(found, table, advance))
        for table, entries in drawn:
            yield from _read(table, check_balance(found, table, entries, advance))

    total = sum(found.rows(table) for table in (*last, *first, *(table for table, _ in drawn)))
    return _collected("Recomputing pairs", total, "rows", check)


def _names(found: Opened, written: Written) -> Iterator[str]:
    """What lies in the output, or among its records, and is of no stage of it."""
    there = storage.names(found.output)
    for name in there:
        if name not in written.names and not name.startswith("."):
            yield f"{name}: extra: not of this project"
    records = {name.removesuffix(".json") for name in storage.names(found.path(FOLDER)) if name.endswith(".json")}
    for name in sorted(records - set(written.folders)):
        yield f"{FOLDER}/{name}.json: extra: there is no such stage"
    for stage, folders in written.folders.items():
        for folder in folders:
            if "/" not in folder and folder in there and stage not in records:
                yield f"{folder}: extra: no finished stage wrote it"


def _read(name: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines of a check; where what it reads cannot be read, that is one."""
    try:
        yield from lines
    except UNREADABLE as problem:
        yield f"{name}: cannot be read: {' '.join(str(problem).split())}"
