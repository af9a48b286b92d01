"""The stage ``dedupe``: ``matched`` to ``clusters``, and what it removed."""

from typing import Any

import numpy as np

from pipeline import storage, tables
from pipeline.balance.counts import COUNTS, ListCounts
from pipeline.buckets.files import Files, write_bucket
from pipeline.components.spark import connect
from pipeline.dedupe.added.spark import added_edges, write_new
from pipeline.dedupe.bands import bands_and_rows
from pipeline.dedupe.spark import WORDS, near_edges, write_clusters
from pipeline.progress import say
from pipeline.recipe import Recipe
from pipeline.record import Record
from pipeline.run import MATCHED_ADDED, MATCHED_REPLACED, TAKEN_OUT, Outcome, Run
from pipeline.stage import Stage
from pipeline.tables import Account

TOP_ENTRIES = 20


def run_all(run: Run) -> Outcome:
    """Writes ``clusters``. The notes show what was removed by length and the entries that lost most."""
    options, matched = run.recipe.dedupe, Files.of(run.folder("matched"))
    rows, folder = tables.count_rows(run.folder("matched")), tables.new_folder(run.output, "clusters")
    if options.scope == "none":
        write_bucket(folder, 0, "0", iter(()), tables.arrow_schema(tables.CLUSTERS))
        _write_counts(run, ListCounts(run.list_sizes))
        return Account(rows, rows, {}), {}
    spool = tables.new_folder(run.output, "hashes")
    edges = near_edges(run.session, matched, rows, options, spool)
    return _write(run, matched, rows, edges, folder, spool)


def add(run: Run, before: Record) -> Outcome:
    """Writes ``clusters``, comparing new texts alone. Where clusters may not hold that were there it does all of it."""
    options, matched = run.recipe.dedupe, Files.of(run.folder("matched"))
    if options.scope == "none":
        return run_all(run)
    if before.notes.get(TAKEN_OUT):
        say("Texts were taken out, so that clusters may not hold: all texts are compared.")
        return run_all(run)
    there, clusters = (Files.of(run.before(name)) for name in ("matched", "clusters"))
    added, replaced = (Files.of(tables.staging(run.output, name)) for name in (MATCHED_ADDED, MATCHED_REPLACED))
    spool, went = tables.new_folder(run.output, "hashes"), 0
    if tables.count_rows(tables.staging(run.output, MATCHED_REPLACED)):
        folder = tables.new_folder(run.output, "new-texts")
        went = write_new(run.session, added, replaced, folder)
        added = Files.of(folder)
    if went:
        say("Texts went, so that clusters may not hold: all texts are compared.")
        return run_all(run)
    edges = added_edges(run.session, there, added, matched, clusters, options, spool, run.cut)
    rows = tables.count_rows(run.folder("matched"))
    return _write(run, matched, rows, edges, tables.new_folder(run.output, "clusters"), spool)


def _write(run: Run, matched: Files, rows: int, edges: Any, folder: str, spool: str) -> Outcome:
    """Writes what the edges connect, and says what of it was removed."""
    options = run.recipe.dedupe
    members = connect(edges, run.cut)
    found = write_clusters(members, matched, folder, run.list_sizes, options.keep_per_cluster)
    storage.remove(spool)
    counts = ListCounts.of_totals(run.list_sizes, found)
    _write_counts(run, counts)
    bands, rows_a_band = bands_and_rows(options.threshold, options.permutations)
    words = {int(words): pairs for (line, words), pairs in found.lines.items() if line == WORDS}
    notes: dict[str, Any] = {"bands": bands, "rows_per_band": rows_a_band, "removed_by_words": by_words(words)}
    notes["entries_that_lost_most"] = _losses(run, counts)
    removed = sum(words.values())
    return Account(rows, rows - removed, {"near_duplicate": removed} if removed else {}), notes


def _write_counts(run: Run, counts: ListCounts) -> None:
    """Writes the entry counts of the removed pairs."""
    tables.write_arrow(counts.as_table(), run.output, f"clusters/{COUNTS}")


def by_words(words: dict[int, int]) -> dict[str, int]:
    """Pairs by the number of words of their text: 1 to 9 each, then by tens (``10-19``), then ``100+``."""
    groups: dict[str, int] = {}
    for number, pairs in sorted(words.items()):
        tens = number // 10 * 10
        group = str(number) if number < 10 else f"{tens}-{tens + 9}" if number < 100 else "100+"
        groups[group] = groups.get(group, 0) + pairs
    return groups


def _losses(run: Run, removed: ListCounts) -> list[dict[str, Any]]:
    """The entries of which most pairs were removed."""
    top = np.argsort(-removed.counts, kind="stable")[:TOP_ENTRIES]
    found = [(*removed.entry_at(int(at)), int(removed.counts[at])) for at in top if removed.counts[at]]
    return [
        {"entry_list": name, "entry": run.entry_lists[name][entry_id].as_py(), "removed": pairs}
        for name, entry_id, pairs in found
    ]


def _depends(recipe: Recipe) -> dict[str, Any]:
    options = recipe.dedupe
    return {"dedupe": {"scope": "none"} if options.scope == "none" else options.model_dump()}


STAGE = Stage(
    name="dedupe",
    title="Looking for near-duplicates",
    tables={"clusters": "pairs whose text is nearly that of others, and which of them stay"},
    beside=(f"clusters/{COUNTS}",),
    reads=("match",),
    run=run_all,
    depends=_depends,
    add=add,
)
