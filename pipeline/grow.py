"""Adding input to a finished output: the first stages, as far as they can, read only what is new.

Their new tables are all made in staging, beside those that are there, and take their places together. The later stages
then run as ever. The table of the pairs that were chosen before stays in a hidden folder until what came and went is
told.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline import record, storage, tables
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from pipeline.events import Events
from pipeline.fitting import Fit, load_finished
from pipeline.output import forget, write_recipe
from pipeline.progress import running, say
from pipeline.recipe import pairs_table
from pipeline.record import MANIFEST, Record, fingerprint
from pipeline.run import Finished, Request, Run, record_of
from pipeline.stage import Stage
from pipeline.stages import stages_before

BEFORE = ".before"
READ_PAIRS = 1 << 20


def check_fits(request: Request, stages: list[Stage], fit: Fit, found: dict[str, Any]) -> None:
    """Raises ``UsageError`` where the tables that are added to are not what the recipe and its files ask for."""
    for stage in stages:
        made = load_finished(request.output, stage)
        files = stage.files(request.recipe, stage.known(found[stage.name]))
        before = [load_finished(request.output, one) for one in stages_before(stage, request.recipe)]
        problem = fit.misfit(made, Finished())
        wanted = fingerprint(stage.name, made.depends, files, *(one.fingerprint for one in before))
        if problem or (stage.add and wanted != made.fingerprint):
            why = problem or f"{', '.join(stage.tables)}: made with other files than those that the recipe names"
            raise UsageError(f"--output {request.output}: {why}; run curate first")


def grow(
    request: Request, stages: list[Stage], fit: Fit, found: dict[str, Any], session: Any, events: Events,
    check: Callable[[], None],
) -> bool:  # fmt: skip
    """Adds to the tables of the stages, which are the first ones; whether that could be done.

    ``check``: whether the output is still held.
    """
    finished, made = Finished(), []
    for stage in stages:
        started, before = time.monotonic(), load_finished(request.output, stage)
        run = Run(**vars(request), session=session, finished=finished, found=found[stage.name])
        with events.of_stage(stage.name), running(stage.title, session):
            outcome = stage.add(run, before)
        if outcome is None:
            storage.remove(storage.join(request.output, tables.STAGING))
            return False
        origin = fit.origin(stage, stage.files(request.recipe, found[stage.name]), finished)
        done = replace(record_of(stage.name, origin, outcome), seconds=time.monotonic() - started)
        finished.add(done, (), request.output)
        for folder in stage.folders:
            made_here = folder.split("/")[0] in stage.tables
            finished.places[folder] = storage.join(request.output, tables.STAGING) if made_here else request.output
        made.append((stage, done))
    check()
    _commit(request, made, session, events)
    return True


def _commit(request: Request, made: list[tuple[Stage, Record]], session: Any, events: Events) -> None:
    """Lets the new tables take the places of the old ones."""
    output, chosen = request.output, storage.join(request.output, pairs_table(request.recipe))
    storage.remove(storage.join(output, MANIFEST))
    if storage.exists(chosen):
        storage.replace(chosen, storage.join(output, BEFORE))
    forget(output, made[0][0])
    for stage, _ in made:
        tables.commit(output, *stage.tables)
    storage.remove(storage.join(output, tables.STAGING))
    finished = Finished()
    for stage, done in made:
        files = tables.describe_files(session, output, list(stage.folders))
        write_recipe(request, finished)
        done = replace(done, files=files)
        record.save(output, done)
        events.stage_ended(done)
        finished.add(done, stage.folders, output)


def change(request: Request) -> dict[str, Any] | None:
    """How many pairs came into the chosen ones and left them since rows were added; None where none were."""
    before, table = storage.join(request.output, BEFORE), pairs_table(request.recipe)
    if not storage.exists(before):
        return None
    old, new = Files.of(before), Files.of(storage.join(request.output, table))
    rows = {"before": old.rows(), "after": new.rows()}
    parts = max(1, -(-max(rows.values()) // READ_PAIRS))
    stayed = sum(len(np.intersect1d(old.ids(i, parts), new.ids(i, parts), assume_unique=True)) for i in range(parts))
    return {"table": table, **rows, "entered": rows["after"] - stayed, "left": rows["before"] - stayed}


def tell(request: Request, found: dict[str, Any] | None) -> None:
    """Says what ``change`` found, and forgets what was before."""
    if found:
        numbers = {key: f"{value:,}" for key, value in found.items() if key != "table"}
        say("{table}: {before} pairs before, {after} now; {entered} entered, {left} left".format(
            table=found["table"], **numbers
        ))  # fmt: skip
        storage.remove(storage.join(request.output, BEFORE))
