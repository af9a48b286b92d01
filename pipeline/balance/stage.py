"""The stage ``balance``: ``matched`` less the removed duplicates to counts, thresholds and, as drawn, ``curated``."""

from dataclasses import replace
from math import ceil, sqrt

import numpy as np
import pyarrow as pa

from pipeline import storage, tables
from pipeline.balance.cap import Cutoffs
from pipeline.balance.counts import COUNTS, ListCounts
from pipeline.balance.draw import NOT_DRAWN, OTHER_TEXT, OVER_CAP, Draw
from pipeline.balance.groups import (
    FACTORS,
    LAST,
    Own,
    check_own,
    depends_on,
    factors,
    named,
    of_entries,
    own_files,
    own_of,
)
from pipeline.balance.pool import Pool
from pipeline.balance.size import WhatIf, grid_thresholds, log_grid, t_of_size, what_if
from pipeline.balance.spark import (
    EXPECTED,
    KEPT,
    ROWS,
    SIZE_UNIT,
    count_entries,
    count_groups,
    count_kept,
    count_pairs,
    expected_sizes,
    find_cutoffs,
    write_drawn,
)
from pipeline.balance.texts.spark import choose_texts
from pipeline.balance.thresholds import entry_limits, followed, key_of, leader, probabilities, tail_share, thresholds
from pipeline.buckets.files import Files
from pipeline.buckets.totals import Totals
from pipeline.errors import PipelineError
from pipeline.report.distribution import distribution
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account

ROWS_PER_FILE = 1_000_000
# One part of so many of the pool tells how much a draw will keep, within so many standard errors.
PART, SURE = 16, 4
GROUP_FACTOR = "group_factor"  # of each entry, in `entry_counts`
WHAT_IF_POINTS = 20


def open_pool(run: Run) -> tuple[Pool, ListCounts]:
    """The pool of finished tables ``matched`` and ``clusters``, with its entry counts, which those tables hold."""
    pool = Pool(Files.of(run.folder("matched")), Files.of(run.folder("clusters")))
    if run.recipe.balance.texts_per_image == "one":
        folder, spool = (run.work_folder(name) for name in ("chosen", "images"))
        pool = replace(pool, chosen=choose_texts(run.session, pool, run.recipe.seed, folder, spool))
    matched, removed = (
        ListCounts.of(run.list_sizes, tables.read_arrow(storage.join(run.folder(table), COUNTS)))
        for table in ("matched", "clusters")
    )
    return pool, matched.less(removed)


def run(run: Run) -> Outcome:
    """Writes ``entry_counts``, ``thresholds`` and ``curated``."""
    recipe, mode, spark = run.recipe, run.recipe.balance.mode, run.session
    pool, counts = open_pool(run)
    own = own_of(recipe.balance, lists_in_order(run, counts), "balance")
    cutoffs, share = None, 1.0
    if mode == "random":
        t = {name: counts.of_list(name).max(initial=0) + 1.0 for name in counts.sizes}
        pairs, size = count_pairs(spark, pool), recipe.balance.size
        share = min(1.0, size / max(1, pairs))
        probability = np.full(len(counts.counts), share)
        cutoffs = find_cutoffs(spark, pool, Cutoffs.start(np.array([pairs]), np.array([size])), None)
    else:
        t = find_thresholds(spark, pool, counts, recipe.balance)
        limits = own.limits(entry_limits(counts, t))
        probability = probabilities(counts, limits)
    if mode == "cap":
        capped = counts if pool.chosen is None else count_entries(spark, pool, run.list_sizes)
        cutoffs = find_cutoffs(spark, pool, Cutoffs.start(capped.counts, limits), counts.starts)
    chosen = cap_groups(run, pool, Draw(mode, counts.starts, probability, cutoffs, share), own)
    found = draw(run, pool, chosen, "curated")
    matched = ListCounts.of(run.list_sizes, tables.read_arrow(storage.join(run.folder("matched"), COUNTS)))
    curated = ListCounts.of_totals(run.list_sizes, found)
    tables.write_arrow(entry_counts_table(run, counts, chosen, curated), run.output, "entry_counts")
    tables.write_arrow(thresholds_table(counts, t, curated), run.output, "thresholds")
    notes = {
        "mode": mode,
        "t": t,
        "tail_share": {name: tail_share(counts.of_list(name), t[name]) for name in counts.sizes},
        "kept": curated.pairs,
        "distribution": distribution(matched, counts, curated, run.entry_lists, t),
    }
    notes |= own.notes | ({"share": share} if mode == "random" else {})
    if mode == "sample" and not own.notes:
        notes["expected"] = found.lines[EXPECTED, None] / SIZE_UNIT
    return account(found), notes


def draw(run: Run, pool: Pool, draw: Draw, table: str) -> Totals:
    """Draws the pool into a table of as many files as its rows, or the recipe, ask for; what was counted on the way."""
    schema, given = pool.pairs.schema(), run.recipe.balance.files
    if "keep_probability" not in schema.names:
        schema = tables.with_columns(schema, keep_probability=tables.DOUBLE)
    written, files = 0, given or expected_files(run.session, pool, draw)
    while written != files:
        written, folder = files, tables.new_folder(run.output, table)
        found = write_drawn(run.session, pool, draw, run.list_sizes, folder, files, schema)
        files = given or files_for(found.lines[KEPT, None])
    return found


def expected_files(spark, pool: Pool, draw: Draw) -> int:
    """The files of what the draw will keep: by a part of the pool where that is sure enough, else by all of it."""
    rows = pool.pairs.rows()
    if rows <= ROWS_PER_FILE:
        return 1
    part = count_kept(spark, pool, draw, PART).lines
    looked_at, kept = max(1, part[ROWS, None]), part[KEPT, None]
    error = SURE * sqrt(kept * (1 - kept / looked_at) + SURE)
    least, most = (files_for(rows * number / looked_at) for number in (kept - error, kept + error))
    return least if least == most else files_for(count_kept(spark, pool, draw).lines[KEPT, None])


def files_for(rows: float) -> int:
    """The files of a table of so many rows."""
    return max(1, ceil(rows / ROWS_PER_FILE))


def account(found: Totals) -> Account:
    """The rows of a draw."""
    kept = found.lines[KEPT, None]
    dropped = {reason: found.lines[reason, None] for reason in (NOT_DRAWN, OTHER_TEXT, OVER_CAP)}
    dropped = {reason: rows for reason, rows in dropped.items() if rows}
    return Account(kept + sum(dropped.values()), kept, dropped)


def cap_groups(run: Run, pool: Pool, draw: Draw, own: Own) -> Draw:
    """The draw with the factors by which no capped group is more than its share of the set; ``own.notes`` tell it.

    Raises ``PipelineError`` where no pair would be left.
    """
    if not own.capped:
        return draw
    kept = count_groups(run.session, pool, draw, own)
    at = factors(kept, [group.share for group in own.capped])
    (before, drawn), (after, left) = (named(kept, to) for to in (np.full(len(at), LAST), at))
    if drawn and not left:
        raise PipelineError(
            "groups: no set meets the shares of "
            + ", ".join(f"{group.group} ({group.share:g})" for group in own.capped)
            + f": of {drawn:,} pairs none would be left; raise them, or give fewer groups"
        )
    capped = (line for line in own.notes["groups"] if "share" in line)
    for line, factor, was, now in zip(capped, FACTORS[at], before, after, strict=True):
        line |= {"factor": float(factor), "pairs_without_caps": was, "pairs": now, "of_the_set": now / max(1, left)}
    return replace(draw, factor=of_entries(own, at))


def find_thresholds(spark, pool: Pool, counts: ListCounts, balance) -> dict[str, float]:
    """The ``t`` of every list: given, from the tail share, or the one whose expected size is nearest to ``size``."""
    if balance.size is None:
        return thresholds(counts, balance)
    followed(counts, {leader(counts): 1.0}, key_of(balance))  # Ends here where the others cannot follow.
    t = t_of_size(
        balance.size, _most(counts), lambda ts: expected_sizes(spark, pool, counts, grid_thresholds(counts, ts))
    )
    return followed(counts, {leader(counts): t})


def _most(counts: ListCounts) -> int:
    """The smallest ``t`` of the leader that caps nothing."""
    return int(counts.of_list(leader(counts)).max(initial=0)) + 1


def explore(run: Run, ts: list[float] | None = None) -> list[WhatIf]:
    """What each ``t`` (a range up to the largest count by default) would give, in one pass over the matches."""
    pool, counts = open_pool(run)
    grid = np.array(sorted(ts)) if ts else log_grid(1, _most(counts), WHAT_IF_POINTS)
    own = own_of(run.recipe.balance, lists_in_order(run, counts), "balance")
    own = own if own.notes else None
    return what_if(counts, grid, lambda ts: expected_sizes(run.session, pool, counts, grid_thresholds(counts, ts), own))


def lists_in_order(run: Run, counts: ListCounts) -> dict[str, pa.Array]:
    """The entries of all lists, as they are one after the other in flat arrays."""
    return {name: run.entry_lists[name] for name in counts.sizes}


def entry_counts_table(run: Run, counts: ListCounts, draw: Draw, kept: ListCounts) -> pa.Table:
    """The table ``entry_counts``: every entry of every list, in order. Counts of weights stay fractions.

    ``kept``: the counts of the pairs that were drawn. Where shares of groups are capped there is ``group_factor``, too.
    """
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
        "probability": pa.array(draw.probability),
        "kept": pa.array(kept.counts),
    }
    kind = pa.from_numpy_dtype(counts.counts.dtype)
    table = pa.table(columns, schema=tables.ENTRY_COUNTS.set(3, pa.field("count", kind)))
    return table if draw.factor is None else table.append_column(GROUP_FACTOR, pa.array(draw.factor))


def thresholds_table(counts: ListCounts, t: dict[str, float], kept: ListCounts) -> pa.Table:
    """The table ``thresholds``: a row a list. ``kept``: the counts of the pairs that were drawn."""
    rows = [
        {
            "entry_list": name,
            "t": t[name],
            "tail_share": tail_share(counts.of_list(name), t[name]),
            "pairs": round(counts.pairs[name]),
            "matches": round(counts.of_list(name).sum()),
            "entries": size,
            "entries_matched": int((counts.of_list(name) > 0).sum()),
            "kept": kept.pairs[name],
        }
        for name, size in counts.sizes.items()
    ]
    return pa.Table.from_pylist(rows, tables.THRESHOLDS)


def _check(request: Request) -> None:
    check_own("balance", request.recipe.balance)


STAGE = Stage(
    name="balance",
    title="Balancing",
    tables={
        "entry_counts": "every entry with the number of pairs that match it and its probability",
        "thresholds": "the threshold t of every entry list",
        "curated": "the curated pairs, with the probability by which each was kept",
    },
    reads=("match", "dedupe"),
    run=run,
    depends=lambda recipe: {"seed": recipe.seed, "balance": depends_on(recipe.balance)},
    check=_check,
    files=lambda recipe, _: own_files(recipe.balance),
)
