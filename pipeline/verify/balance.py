"""Balancing against itself: draws, keep probabilities and the counts of entries, recomputed from the drawn pairs."""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.balance.counts import EntryCounter, ListCounts, flat_ids
from pipeline.balance.groups import smallest
from pipeline.balance.thresholds import keep_probability
from pipeline.buckets.files import Files
from pipeline.buckets.hashing import draws
from pipeline.buckets.totals import Totals
from pipeline.report.page.source import Entries, read_entries
from pipeline.verify.opened import Opened

COLUMNS = ["pair_id", "entry_list", "entries", "draw", "keep_probability"]


def check_balance(found: Opened, table: str, entries_table: str, advance: Callable[[int], None]) -> Iterator[str]:
    """What is wrong with a table of drawn pairs; ``entries_table``: its entries with their probabilities and counts."""
    entries, _ = read_entries([found.path(path) for path in found.of_table(entries_table)])
    counter, totals = EntryCounter(entries.sizes), Totals()
    options = found.recipe.rebalance if table == "final" else found.recipe.balance
    capped = any(group.share is not None for group in options.groups)
    if capped != (entries.factor is not None):
        there = (
            "no column group_factor, the recipe caps groups" if capped else "a column group_factor, no group is capped"
        )
        yield f"{entries_table}: has {there}"
    mode = "sample" if table == "final" else found.recipe.balance.mode
    for batch in Files(tuple(map(found.path, found.of_table(table)))).read(0, 1, COLUMNS):
        wrong = next(_wrong(batch, entries, found.recipe.seed, mode), None)
        if wrong:
            yield f"{table}: {wrong}"
            return
        counter.add(batch.column("entry_list"), batch.column("entries"))
        advance(batch.num_rows)
    counter.add_to(totals, entries.starts)
    kept = ListCounts.of_totals(entries.sizes, totals).counts
    if differing := np.flatnonzero(kept != entries.kept).tolist():
        at = differing[0]
        yield (
            f"{entries_table}: {entries.names[at].as_py()!r} has {entries.kept[at]:,} kept pairs, {table} has "
            f"{kept[at]:,}; {len(differing):,} entries differ"
        )


def _wrong(batch, entries: Entries, seed: int, mode: str) -> Iterator[str]:
    """What is wrong with the first pair of a batch that has something wrong."""
    ids = batch.column("pair_id").to_numpy()
    drawn = batch.column("draw").to_numpy()
    if len(at := np.flatnonzero(drawn != draws(ids, seed))):
        yield f"the draw of pair {ids[at[0]]} is not that of its pair_id and the seed"
    share = batch.column("keep_probability").to_numpy(zero_copy_only=False)
    if mode == "random" and len(at := np.flatnonzero(share != entries.probability[0])):
        yield f"the keep probability of pair {ids[at[0]]} is not that of all pairs"
    if mode != "sample":
        return
    flat, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), entries.starts)
    expected = keep_probability(entries.probability, flat, offsets)
    expected = expected if entries.factor is None else expected * smallest(entries.factor, flat, offsets)
    if len(at := np.flatnonzero(share != expected)):
        yield f"the keep probability of pair {ids[at[0]]} is not that of its entries"
    if len(at := np.flatnonzero(drawn >= share)):
        yield f"pair {ids[at[0]]} is kept, though its draw is not below its keep probability"
