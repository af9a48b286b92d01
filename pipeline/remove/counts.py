"""The counts of entries without those of the pairs that go: small tables, made anew before anything changes.

``count`` and ``probability`` stay what the draw was made with; ``kept`` and the counts that balancing begins with are
those of the pairs that stay.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.balance.counts import COUNTS, EntryCounter, ListCounts
from pipeline.buckets.totals import Totals
from pipeline.remove.place import Place, read_table, schema_of, table_bytes
from pipeline.report.distribution import distribution
from pipeline.report.page.source import Entries, read_entries

LISTS = "_lists"  # of `matched`, as in `pipeline.run`
# Of each stage that draws: the drawn pairs, their entries, their lists.
DRAWN = {"balance": ("curated", "entry_counts", "thresholds"),
         "rebalance": ("final", "final_entry_counts", "final_thresholds")}  # fmt: skip
Drawn = tuple[Entries, ListCounts]  # the entries as they were drawn with, and what is kept


def list_sizes(place: Place) -> dict[str, int]:
    """The number of entries of each list of ``matched``."""
    folder = place.path(f"matched/{LISTS}")
    names = [name for name in storage.names(folder) if name.endswith(".parquet")]
    return {
        name.removesuffix(".parquet"): read_table(storage.join(folder, name), ["entry_id"]).num_rows for name in names
    }


def entry_lists(place: Place) -> dict[str, pa.Array]:
    """The lists of ``matched``."""
    folder = place.path(f"matched/{LISTS}")
    return {
        name: read_table(storage.join(folder, f"{name}.parquet"), ["entry"])["entry"].combine_chunks()
        for name in list_sizes(place)
    }


def matches(place: Place, table: str, ids: np.ndarray, sizes: dict[str, int]) -> ListCounts:
    """The entry counts of some pairs of a table, by ascending pair_id."""
    counter, totals = EntryCounter(sizes), Totals()
    for path in place.files(table):
        rows = place.rows_of(path, ids, ["entry_list", "entries"])
        for batch in rows.combine_chunks().to_batches():
            counter.add(batch.column("entry_list"), batch.column("entries"))
    counter.add_to(totals, ListCounts(sizes).starts)
    return ListCounts.of_totals(sizes, totals)


def stored_counts(place: Place, table: str, sizes: dict[str, int]) -> ListCounts:
    """The entry counts that lie in a table's hidden folder."""
    paths = place.files(f"{table}/{COUNTS}")
    return ListCounts.of(sizes, pa.concat_tables(read_table(place.path(path)) for path in paths))


def counts_anew(
    place: Place, of_table: dict[str, np.ndarray], removed_by_dedupe: np.ndarray
) -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """The files of tables of counts that change, by path below the output, and of the notes of stages what changes.

    ``of_table``: the pairs that go; ``removed_by_dedupe``: those of them that ``clusters`` had removed.
    """
    files: dict[str, bytes] = {}
    notes: dict[str, dict[str, Any]] = {}
    matched = None
    if place.files(f"matched/{COUNTS}"):
        sizes = list_sizes(place)
        for table, ids in (("matched", of_table["matched"]), ("clusters", removed_by_dedupe)):
            if paths := place.files(f"{table}/{COUNTS}"):
                left = stored_counts(place, table, sizes).less(matches(place, "matched", ids, sizes))
                matched = left if table == "matched" else matched
                if len(ids):
                    files[paths[0]] = table_bytes(left.as_table())
    for stage, (table, entries_table, lists_table) in DRAWN.items():
        if place.files(entries_table) and place.files(table):
            changed, entries = _kept_anew(place, table, of_table[table], entries_table, lists_table)
            files |= changed if len(of_table[table]) else {}
            if stage in place.records:
                notes[stage] = _notes(place, place.records[stage].notes, entries, matched)
    return files, notes


def _kept_anew(
    place: Place, table: str, ids: np.ndarray, entries_table: str, lists_table: str
) -> tuple[dict[str, bytes], Drawn]:
    """The files of entries and lists with ``kept`` less the pairs that go, and what is kept now."""
    paths = place.files(entries_table)
    entries, _ = read_entries([place.path(path) for path in paths])
    gone, kept, files = matches(place, table, ids, entries.sizes), ListCounts(entries.sizes), {}
    kept.counts = entries.kept - gone.counts
    start = 0
    for path in paths:
        rows = read_table(place.path(path))
        files[path] = table_bytes(_with_kept(rows, kept.counts[start : start + rows.num_rows]))
        start += rows.num_rows
    for path in place.files(lists_table):
        rows = read_table(place.path(path))
        names = rows["entry_list"].to_pylist()
        left = rows["kept"].to_numpy() - np.array([gone.pairs[name] for name in names], np.int64)
        kept.pairs |= dict(zip(names, left.tolist(), strict=True))
        files[path] = table_bytes(_with_kept(rows, left))
    return files, (entries, kept)


def _notes(place: Place, notes: dict[str, Any], drawn: Drawn, matched: ListCounts | None) -> dict[str, Any]:
    """What a stage that draws says of the pairs that are kept, and how they are distributed."""
    entries, kept = drawn
    found: dict[str, Any] = {"kept": kept.pairs} if "kept" in notes else {}
    if "distribution" in notes and matched is not None:
        told = distribution(matched, entries.counts(), kept, entry_lists(place), notes["t"])
        found["distribution"] = told
    return found


def _with_kept(rows: pa.Table, kept: np.ndarray) -> pa.Table:
    at = rows.schema.get_field_index("kept")
    return rows.set_column(at, rows.schema.field(at), pa.array(kept))


def of_pairs(place: Place, table: str, ids: np.ndarray, column: str) -> pa.ChunkedArray:
    """A column of some pairs of a table, in the order of their ids."""
    kind = schema_of(place.path(place.files(table)[0])).field(column).type
    parts = [place.rows_of(path, ids, [column])[column] for path in place.files(table)]
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], kind)
