"""The stage ``balance``: ``matched`` less the removed duplicates to counts, thresholds and, as drawn, ``curated``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage, tables
from pipeline.balance.counts import ListCounts
from pipeline.balance.size import WhatIf, grid_thresholds, log_grid, t_of_size, what_if
from pipeline.balance.spark import (
    cap_cutoffs,
    choose,
    chosen_texts,
    count_entries,
    expected_sizes,
    only_chosen,
    survivors,
)
from pipeline.balance.thresholds import entry_limits, followed, key_of, leader, probabilities, tail_share, thresholds
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.recipe import Balance, Rebalance
from pipeline.recipe_file import found_path, local_path
from pipeline.report.distribution import distribution
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account

ROWS_PER_FILE = 1_000_000
WHAT_IF_POINTS = 20


@dataclass(frozen=True)
class Pool:
    """What balancing starts from: the surviving pairs, one text an image (or None for all), and the counts."""

    rows: Any
    chosen: Any | None
    counts: ListCounts

    def candidates(self) -> Any:
        """The pairs that may be drawn."""
        return self.rows if self.chosen is None else only_chosen(self.rows, self.chosen)


def open_pool(run: Run) -> Pool:
    """The pool of finished tables ``matched`` and ``clusters``."""
    rows = survivors(run.table("matched"), run.table("clusters"))
    chosen = None
    if run.recipe.balance.texts_per_image == "one":
        chosen = run.cut(chosen_texts(rows, run.recipe.seed), "chosen")
    return Pool(rows, chosen, count_entries(rows, run.list_sizes))


def run(run: Run) -> Outcome:
    """Writes ``entry_counts``, ``thresholds`` and ``curated``."""
    recipe, pool = run.recipe, open_pool(run)
    counts, mode = pool.counts, recipe.balance.mode
    t = find_thresholds(pool, recipe.balance)
    limits, notes_of_domain = find_limits(run, counts, t, recipe.balance)
    probability = probabilities(counts, limits)
    tables.write_arrow(entry_counts_table(run, counts, probability), run.output, "entry_counts")
    tables.write_arrow(thresholds_table(counts, t), run.output, "thresholds")

    cutoffs = None
    if mode == "cap":
        candidates = pool.candidates()
        capped = counts if pool.chosen is None else count_entries(candidates, run.list_sizes)
        cutoffs = cap_cutoffs(candidates, capped, limits)
    drawn = choose(pool.rows, mode, counts, probability, cutoffs, pool.chosen)
    dropped = tables.write_accounted(tables.keep_only_reasons(drawn), run.output, "drawn")
    kept = dropped.pop(None)
    drawn = tables.read(run.session, tables.staging(run.output, "drawn"))
    files = recipe.balance.files or max(1, -(-kept // ROWS_PER_FILE))
    tables.write_sorted(drawn, run.output, "curated", files)

    curated = count_entries(tables.read(run.session, tables.staging(run.output, "curated")), run.list_sizes)
    matched = count_entries(run.table("matched"), run.list_sizes)
    notes = {
        "mode": mode,
        "t": t,
        "tail_share": {name: tail_share(counts.of_list(name), t[name]) for name in counts.sizes},
        "distribution": distribution(matched, counts, curated, run.entry_lists, t),
    }
    notes |= notes_of_domain
    if mode == "sample" and not notes_of_domain:
        notes["expected"] = expected_sizes(pool.candidates(), counts, np.array([list(t.values())]))[0]
    return Account(sum(counts.pairs.values()), kept, dict(sorted(dropped.items()))), notes


def find_limits(run: Run, counts: ListCounts, t: dict[str, float], balance) -> tuple[np.ndarray, dict[str, Any]]:
    """The ``t`` of every entry, flat: that of its list, or of the recipe's domain; and notes on the domain."""
    limits = entry_limits(counts, t)
    if balance.domain is None:
        return limits, {}
    entries = load_list("domain", local_path(balance.domain.entries)).entries
    inside = [pc.is_in(run.entry_lists[name], value_set=entries) for name in counts.sizes]
    found = np.concatenate([part.to_numpy(zero_copy_only=False) for part in inside])
    limits = np.where(found, balance.domain.t, limits)
    return limits, {"domain": {"t": balance.domain.t, "entries": len(entries), "in_lists": int(found.sum())}}


def check_domain(key: str, balance: Balance | Rebalance) -> None:
    """Raises ``UsageError`` where the file of a domain's entries is missing; ``key`` is that of the section."""
    if balance.domain and not local_path(balance.domain.entries).is_file():
        raise UsageError(f"{key}.domain.entries: {balance.domain.entries}: no such file")


def domain_files(balance: Balance | Rebalance) -> list:
    """Name, size and time of the file of a domain's entries."""
    return storage.list_files(found_path(balance.domain.entries)) if balance.domain else []


def find_thresholds(pool: Pool, balance) -> dict[str, float]:
    """The ``t`` of every list: given, from the tail share, or the one whose expected size is nearest to ``size``."""
    counts = pool.counts
    if balance.size is None:
        return thresholds(counts, balance)
    followed(counts, {leader(counts): 1.0}, key_of(balance))  # Ends here where the others cannot follow.
    most = int(counts.of_list(leader(counts)).max(initial=0)) + 1
    candidates = pool.candidates()
    t = t_of_size(balance.size, most, lambda ts: expected_sizes(candidates, counts, grid_thresholds(counts, ts)))
    return followed(counts, {leader(counts): t})


def explore(run: Run, ts: list[float] | None = None) -> list[WhatIf]:
    """What each ``t`` (a range up to the largest count by default) would give, in one pass over the matches."""
    pool = open_pool(run)
    counts = pool.counts
    most = int(counts.of_list(leader(counts)).max(initial=0)) + 1
    grid = np.array(sorted(ts)) if ts else log_grid(1, most, WHAT_IF_POINTS)
    candidates = pool.candidates()
    return what_if(counts, grid, lambda ts: expected_sizes(candidates, counts, grid_thresholds(counts, ts)))


def entry_counts_table(run: Run, counts: ListCounts, probability: np.ndarray) -> pa.Table:
    """The table ``entry_counts``: every entry of every list, in order. Counts of weights stay fractions."""
    sizes = list(counts.sizes.values())
    ids = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
    names = pa.DictionaryArray.from_arrays(
        pa.array(np.repeat(np.arange(len(sizes)), sizes)), pa.array(list(counts.sizes))
    )
    columns = {
        "entry_list": names.cast(pa.string()),
        "entry_id": pa.array(ids),
        "entry": pa.concat_arrays([run.entry_lists[name] for name in counts.sizes]),
        "count": pa.array(counts.counts),
        "probability": pa.array(probability),
    }
    kind = pa.from_numpy_dtype(counts.counts.dtype)
    return pa.table(columns, schema=tables.ENTRY_COUNTS.set(3, pa.field("count", kind)))


def thresholds_table(counts: ListCounts, t: dict[str, float]) -> pa.Table:
    """The table ``thresholds``: a row a list."""
    rows = [
        {
            "entry_list": name,
            "t": t[name],
            "tail_share": tail_share(counts.of_list(name), t[name]),
            "pairs": round(counts.pairs[name]),
            "matches": round(counts.of_list(name).sum()),
            "entries": size,
            "entries_matched": int((counts.of_list(name) > 0).sum()),
        }
        for name, size in counts.sizes.items()
    ]
    return pa.Table.from_pylist(rows, tables.THRESHOLDS)


def _check(request: Request) -> None:
    check_domain("balance", request.recipe.balance)


STAGE = Stage(
    name="balance",
    title="Balancing",
    job="balance",
    tables={
        "entry_counts": "every entry with the number of pairs that match it and its probability",
        "thresholds": "the threshold t of every entry list",
        "curated": "the curated pairs, with the probability by which each was kept",
    },
    reads=("match", "dedupe"),
    run=run,
    depends=lambda recipe: {"seed": recipe.seed, "balance": recipe.balance.model_dump()},
    check=_check,
    files=lambda recipe, _: domain_files(recipe.balance),
)
