"""The stage ``rebalance``: ``filtered``, what survived fetching and filtering, balanced again to ``final``."""

from dataclasses import replace
from typing import Any

from pipeline import tables
from pipeline.balance.counts import ListCounts
from pipeline.balance.draw import Draw
from pipeline.balance.groups import check_own, depends_on, own_files, own_of
from pipeline.balance.pool import Pool
from pipeline.balance.spark import ABOVE_FIRST, KEPT, count_entries
from pipeline.balance.stage import (
    account,
    cap_groups,
    draw,
    entry_counts_table,
    find_thresholds,
    lists_in_order,
    thresholds_table,
)
from pipeline.balance.texts.spark import count_texts
from pipeline.balance.thresholds import entry_limits, probabilities, tail_share
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from pipeline.progress import say
from pipeline.recipe import Recipe
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage


def run(run: Run) -> Outcome:
    """Writes ``final_entry_counts``, ``final_thresholds`` and ``final``: balancing is the last step.

    A survivor counts for 1/k1, k1 being its first ``keep_probability``, so that counts are those of all survivors that
    the whole pool would have had; the same draw is then held against the new probability k2. Where k2 is above k1 the
    first threshold was too low, and such pairs are fewer than they should be: the notes count them, and say what the
    first ``t`` should have been.
    """
    recipe, spark = run.recipe, run.session
    pool = Pool(Files.of(run.folder("filtered")), weighted=True)
    if recipe.balance.texts_per_image == "one":
        whole = Pool(Files.of(run.folder("matched")), Files.of(run.folder("clusters")))
        folder, spool = (run.work_folder(name) for name in ("image-texts", "images"))
        pool = replace(pool, image_texts=count_texts(spark, whole, folder, spool))
    counts = count_entries(spark, pool, run.list_sizes).weighted()
    t = find_thresholds(spark, pool, counts, recipe.rebalance)
    own = own_of(recipe.rebalance, lists_in_order(run, counts), "rebalance")
    probability = probabilities(counts, own.limits(entry_limits(counts, t)))
    chosen = cap_groups(run, pool, Draw("sample", counts.starts, probability), own)
    found = draw(run, pool, chosen, "final")
    drawn = ListCounts.of_totals(run.list_sizes, found)
    tables.write_arrow(entry_counts_table(run, counts, chosen, drawn), run.output, "final_entry_counts")
    tables.write_arrow(thresholds_table(counts, t, drawn), run.output, "final_thresholds")
    kept, short = found.lines[KEPT, None], found.lines[ABOVE_FIRST, None]
    survived = account(found).rows_in
    notes = {
        "t": t,
        "first_t": run.notes("balance")["t"],
        "tail_share": {name: tail_share(counts.of_list(name), t[name]) for name in counts.sizes},
        "kept": drawn.pairs,
        "survivors_of_the_pool": {name: round(pairs) for name, pairs in counts.pairs.items()},
        "pairs_above_first": short,
        **own.notes,
    }
    if short:
        share = survived / max(1, tables.count_rows(run.folder("curated")))
        say(
            f"{short:,} of {kept:,} pairs should be kept more often than balancing kept them at first: the first t "
            f"must be at least the final t over the lowest survival of any entry; {share:.0%} of all pairs survived"
        )
    return account(found), notes


def _check(request: Request) -> None:
    if request.recipe.rebalance is None:
        raise UsageError("rebalance: missing; balancing again needs rebalance.t, tail_share or size")
    check_own("rebalance", request.recipe.rebalance)


def _depends(recipe: Recipe) -> dict[str, Any]:
    return {
        "rebalance": depends_on(recipe.rebalance),
        "balance": recipe.balance.model_dump(include={"texts_per_image", "files"}),
    }


STAGE = Stage(
    name="rebalance",
    title="Balancing again",
    tables={
        "final": "the pairs of balancing again over what passed",
        "final_entry_counts": "the entries with the estimated counts of that",
        "final_thresholds": "the thresholds of that",
    },
    reads=("match", "dedupe", "balance", "filter"),
    run=run,
    depends=_depends,
    in_recipe=lambda recipe: recipe.rebalance is not None,
    check=_check,
    files=lambda recipe, _: own_files(recipe.rebalance),
)
