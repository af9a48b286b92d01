"""Taking something out of a finished output: looked for, written down, done, told.

Once it is written down (``pipeline.remove.work``) it is decided: a run that is killed afterwards is ended by the next
``remove`` or ``curate`` there. The manifest goes before anything changes and comes last.
"""

import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from pipeline import lock, record, storage, tables
from pipeline.errors import UsageError
from pipeline.failure import in_words
from pipeline.fitting import Fit, load_finished
from pipeline.ingest.contents import INPUTS
from pipeline.output import DESCRIPTIONS, WHAT_IF, describe
from pipeline.progress import counting, running, say
from pipeline.record import Record
from pipeline.remove import work as decided
from pipeline.remove.accounts import records_anew
from pipeline.remove.asked import Asked, read_asked
from pipeline.remove.counts import counts_anew
from pipeline.remove.find import Hits, find
from pipeline.remove.leftovers import clear
from pipeline.remove.listed import list_work
from pipeline.remove.place import Place
from pipeline.remove.rewrite import rewrite_extracted, rewrite_tables
from pipeline.remove.tars import rewrite_fetched, rewrite_shards
from pipeline.remove.told import removals, tell
from pipeline.remove.tombs import tombs_of
from pipeline.remove.work import Work
from pipeline.run import Finished, Request
from pipeline.stages import STAGES, named, stages_from, stages_of
from pipeline.tombstones import table as tombstones
from pipeline.tombstones.table import Salt, Tombstones
from pipeline.verify.opened import opened

FIRST_AGAIN = "dedupe"  # the first stage that `--rebalance` runs again


def remove(
    output: str,
    file: str,
    kind: str | None = None,
    column: str | None = None,
    dry_run: bool = False,
    rebalance: bool = False,
) -> dict[str, Any]:
    """Takes what a file lists out of an output; returns what was asked, what was found, and what went.

    ``kind``: what the values are, else each is what it looks like; ``column``: that of a table with the values.
    ``dry_run``: only looks. ``rebalance``: draws again, over the pairs that are left. Raises ``UsageError``, and
    changes nothing, where the output or the list is not usable.
    """
    place = _place(output)
    with in_words(place.output, "the removal"):
        told = _remove(output, place, file, kind, column, dry_run, rebalance)
    if rebalance and not dry_run:
        from pipeline.curate import curate

        stages = [stage.name for stage in stages_of(place.recipe)]
        curate(place.recipe, place.output, stages[stages.index(FIRST_AGAIN) :])
    return told


def _remove(
    output: str, place: Place, file: str, kind: str | None, column: str | None, dry_run: bool, rebalance: bool
) -> dict[str, Any]:
    with lock.held(place.output) as check:
        if decided.unfinished(place.output):
            if dry_run:
                raise UsageError(f"{output}: holds a removal that is not finished; remove without --dry-run ends it")
            _complete(place.output)
            say(f"{output}: a removal that was stopped is finished")
        place = _place(output)
        salt = Salt.of(place.output)
        with running("Looking for what is to go"):
            asked = read_asked(file, kind, column, salt, len(removals(place.output)))
            work, told = _decide(place, asked, salt, rebalance)
        if not dry_run:
            check()
            decided.save(place.output, work)
            _complete(place.output)
    return told


def finish(output: str) -> bool:
    """Ends a removal in an output that was decided and not ended; whether there was one."""
    if not decided.is_left(output):
        return False
    with lock.held(output):
        was = decided.unfinished(output)
        if was:
            _complete(output)
        else:
            decided.end(output)
    return was


def _place(output: str) -> Place:
    place, recipe, problem = opened(output)
    if recipe is None:
        raise UsageError(f"{output}: {problem}")
    finished = ((stage.name, record.load(place, stage.name)) for stage in STAGES)
    return Place(place, recipe, {name: found for name, found in finished if found is not None})


def _decide(place: Place, asked: Asked, salt: Salt, rebalance: bool) -> tuple[Work, dict[str, Any]]:
    """What is to be done, and what is told of it. Nothing changes."""
    name = uuid.uuid4().hex
    wanted = Tombstones.of(asked.table, salt)
    hits = Hits(wanted)
    found = find(place, wanted, hits)
    listed = list_work(place, found, name)
    by_dedupe = listed.removed_by_dedupe
    counts, notes = counts_anew(place, listed.of_table, by_dedupe)
    records = records_anew(place, listed, by_dedupe, found.extracted)
    records = {stage: replace(one, notes=one.notes | notes.get(stage, {})) for stage, one in records.items()}
    rows = listed.rows() | ({"extracted": sum(found.extracted.values())} if found.extracted else {})
    told = {
        "id": name,
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "asked": {one: len(lookup.hashes) for one, lookup in sorted(wanted.asked.items())},
        "not_found": dict(sorted(hits.unmatched().items())),
        "pairs": len(found.pairs),
        "images": len(found.images),
        "rows": rows,
        "rebalanced": rebalance,
    }
    more = tombs_of(found, salt, len(removals(place.output)))
    work = decided.new_work(
        told, pa.concat_tables([asked.table, *more]), salt.key, found, listed, counts, records, rebalance
    )
    return work, told | {"lines": dict(asked.lines)}


def _complete(output: str) -> None:
    """Does what was decided, wherever it was left off; the description of the set and the manifest come last."""
    work, place = decided.load(output), _place(output)
    tombstones.add(output, work.tombstones, Salt(work.salt))
    for name in (record.MANIFEST, record.DESCRIBED, *DESCRIPTIONS, *WHAT_IF):
        storage.remove(storage.join(output, name))
    clear(place, [folder for stage in STAGES for folder in stage.folders if storage.exists(place.path(folder))])
    total = sum(map(len, (work.files, work.fetched, work.extracted, work.shards)))
    with counting("Taking out", total, "files") as advance:
        rewrite_extracted(place, work, advance)
        rewrite_fetched(place, work, advance)
        rewrite_tables(place, work, advance)
        rewrite_shards(place, work, advance)
    for path, content in work.counts.items():
        storage.write_bytes(place.path(path), content)
    again = [stage.name for stage in stages_from(named(FIRST_AGAIN))] if work.rebalance else []
    for stage in STAGES:
        if stage.name in again:
            record.remove(output, stage.name)
        elif done := work.records.get(stage.name) or place.records.get(stage.name):
            before = place.records.get(stage.name) or done
            record.save(output, replace(done, files=_files(output, before, stage.folders, work)))
    tell(output, work.told)
    _describe(_place(output))
    decided.end(output)


def _files(output: str, before: Record, folders: Iterable[str], work: Work) -> list[dict[str, Any]]:
    """The lines of a stage's files: those that were written again are read, the others are as they were."""
    written = {*work.files, *work.counts, *(f"extracted/{name}" for name in work.extracted)}
    written |= {f"{line['folder']}/{name}" for line in work.fetched for name in (line["table"], line["new"])}
    shards = (f"{name}{ending}" for name in work.shards for ending in (".tar", ".parquet", "_stats.json"))
    written |= {f"shards/{name}" for name in (*shards, "sizes.json", "manifest.json")}
    if work.extracted:
        written |= {"crawl_files/part-00000.parquet", f"pairs/{INPUTS}/part-00000.parquet"}
    known = {line["path"]: line for line in before.files if line["path"] not in written}
    root = storage.open_filesystem(output)[1].rstrip("/") + "/"
    there = [file for folder in folders for file in storage.files_below(storage.join(output, *folder.split("/")))]
    lines = [
        known.get(storage.open_filesystem(path)[1].removeprefix(root)) or tables.describe(path, size, root)
        for path, size, _ in there
    ]
    return sorted(lines, key=lambda line: line["path"])


def _describe(place: Place) -> None:
    """Writes what the output says of itself, as a run does at its end."""
    request = Request(recipe=place.recipe, output=place.output, source=place.output)
    stages = stages_of(place.recipe)
    fit, finished = Fit(place.recipe, stages), Finished()
    lines = []
    for stage in stages:
        if (found := load_finished(place.output, stage)) and fit.misfit(found, finished) is None:
            finished.add(found, stage.folders, place.output)
            lines.append(found.summary(skipped=True))
    summary = {"recipe": place.recipe.name, "output": place.output, "seconds": 0.0, "stages": lines}
    describe(request, fit, finished, summary)
