"""The stage ``dedupe``: ``matched`` to ``clusters``, and what it removed."""

from typing import Any

from pipeline import tables
from pipeline.dedupe.bands import bands_and_rows
from pipeline.dedupe.spark import clusters, entries_of, no_clusters, remaining, removed_by_words, removed_rows
from pipeline.recipe import Recipe
from pipeline.run import Outcome, Run
from pipeline.stage import Stage
from pipeline.tables import Account

TOP_ENTRIES = 20


def run(run: Run) -> Outcome:
    """Writes ``clusters``. The notes show what was removed by length and the entries that lost most."""
    options, matched = run.recipe.dedupe, run.table("matched")
    if options.scope == "none":
        tables.write(no_clusters(run.session), run.output, "clusters")
        rows = tables.count_rows(run.folder("matched"))
        return Account(rows, rows, {}), {}
    found = clusters(matched, options, run.cut)
    found = tables.write(found, run.output, "clusters")
    rows_in, kept = tables.count_rows(run.folder("matched")), remaining(matched, found)
    bands, rows = bands_and_rows(options.threshold, options.permutations)
    notes: dict[str, Any] = {"bands": bands, "rows_per_band": rows}
    removed = removed_rows(matched, found)
    by_words = removed_by_words(removed)
    losses = [
        {"entry_list": name, "entry": run.entry_lists[name][entry_id].as_py(), "removed": count}
        for name, entry_id, count in entries_of(removed, TOP_ENTRIES)
    ]
    account = Account(rows_in, kept, {"near_duplicate": total} if (total := sum(by_words.values())) else {})
    return account, notes | {"removed_by_words": by_words, "entries_that_lost_most": losses}


def _depends(recipe: Recipe) -> dict[str, Any]:
    options = recipe.dedupe
    return {"dedupe": {"scope": "none"} if options.scope == "none" else options.model_dump()}


STAGE = Stage(
    name="dedupe",
    title="Looking for near-duplicates",
    job="dedupe",
    tables={"clusters": "pairs whose text is nearly that of others, and which of them stay"},
    reads=("match",),
    run=run,
    depends=_depends,
)
