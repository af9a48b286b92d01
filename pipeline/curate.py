"""The main path: the stages of a recipe in order, what is done and what is skipped.

``curate`` lets every stage look at recipe and input before anything starts, then runs each whose record in the output
does not fit the recipe, its files and the stages before it. A stage that ran takes the place of its former tables and
of all later ones; the recipe, its record and, at the end, the manifest change with them.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pipeline import engine, record, storage, tables
from pipeline.errors import UsageError
from pipeline.events import Events
from pipeline.failure import in_words
from pipeline.fitting import Fit, finished_before, load_finished
from pipeline.grow import change, check_fits, grow, tell
from pipeline.output import check_output, describe, forget, held, write_recipe
from pipeline.plan.cost import Cores, least_memory
from pipeline.plan.room import check_beside, check_disk, check_memory, may_fit
from pipeline.progress import results, running, say, summary_table
from pipeline.recipe import Recipe, makes_dataframes
from pipeline.record import Record
from pipeline.removal import finish
from pipeline.remove.work import is_left
from pipeline.room import needed
from pipeline.run import Request, Run, record_of
from pipeline.stage import Stage
from pipeline.stages import stages_of


def curate(
    recipe: Recipe,
    output: str,
    stages: list[str] | None = None,
    source: str | None = None,
    force: bool = False,
    strict: bool = False,
    added: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Runs the stages of a recipe (all by default) into ``output`` and returns the summary that it wrote there.

    ``source``: the output folder with the tables of the stages before (``output`` by default). ``strict``: fail on a
    damaged input file instead of going on without it. ``added``: those input paths that are new to a finished output,
    which alone are read. Raises ``UsageError`` before any work where the configuration or the input is wrong,
    ``PipelineError`` where a stage fails.
    """
    place = storage.absolute(output)
    with in_words(place, "the run"):
        return _curate(recipe, output, place, stages, source, force, strict, added)


def _curate(
    recipe: Recipe, output: str, place: str, stages: list[str] | None, source: str | None, force: bool, strict: bool,
    added: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    started = time.monotonic()
    if finish(place):
        say(f"{output}: a removal that was stopped is finished")
    request = Request(
        recipe=recipe, output=place, source=storage.absolute(source) if source else place, force=force, strict=strict,
        added=added,
    )  # fmt: skip
    check_output(place, recipe, force)
    if is_left(request.source):
        raise UsageError(f"--input {request.source}: a removal is not finished there; remove or curate ends it")
    wanted = stages_of(recipe, stages)
    if force or added or any(load_finished(place, stage) is None for stage in wanted):
        engine.start(any(stage.spark for stage in wanted))  # while everything is looked at
    found = {stage.name: stage.check(request) for stage in wanted}
    fit = Fit(recipe, wanted)
    finished = finished_before(request, wanted, fit)
    lines, events = [], Events(place, recipe.name)
    with held(request) as check:
        if added:
            request, found = _grown(request, wanted, fit, found, events, check)
        for stage in wanted:
            origin = fit.origin(stage, stage.files(recipe, found[stage.name]), finished)
            former = None if force else load_finished(place, stage)
            skipped = bool(former and former.fingerprint == origin["fingerprint"] and stage.is_there(recipe))
            if skipped:
                done = former
            if not skipped:
                _check_room(stage, request, found[stage.name])
            if not skipped or stage.missing(former):
                run = Run(**vars(request), session=_session(wanted), finished=finished, found=found[stage.name])
                lacks = partial(needed, run.session, storage.join(place, tables.STAGING))
                with in_words(place, ", ".join(stage.tables), lacks):
                    done = _run_stage(stage, run, origin, former if skipped else None, events, check)
                skipped = done is former
            finished.add(done, stage.folders, place)
            lines.append(done.summary(skipped))
        seconds = round(time.monotonic() - started, 3)
        summary = {"recipe": recipe.name, "output": output, "seconds": seconds, "stages": lines}
        if moved := change(request) if stages is None else None:
            summary["change"] = moved
        changed = describe(request, fit, finished, summary)
        events.run_ended()
        _show(summary, recipe, changed)
        tell(request, moved)
    return summary


def _grown(
    request: Request, wanted: list[Stage], fit: Fit, found: dict[str, Any], events: Events, check: Callable[[], None]
) -> tuple[Request, dict[str, Any]]:
    """The request, and what checks found, once what is new was added to the tables of the first stages.

    Where that cannot be all is looked at again, so that the stages do all of it.
    """
    first = [stage for stage in wanted if stage.add]
    check_fits(request, first, fit, found)
    check_beside(request.output, [table for stage in first for table in stage.tables])
    session, names = _session(wanted), ", ".join(table for stage in first for table in stage.tables)
    lacks = partial(needed, session, storage.join(request.output, tables.STAGING))
    with in_words(request.output, names, lacks):
        if grow(request, first, fit, found, session, events, check):
            return request, found
    say("What is there cannot be added to: all input is read.")
    whole = replace(request, added=())
    return whole, {stage.name: stage.check(whole) for stage in wanted}


def _check_room(stage: Stage, request: Request, found: Any) -> None:
    """Refuses a run that the disk or the memory is too small for. Small runs cost a look at what is free."""
    if request.force:
        return
    if not engine.submitted():
        check_memory(least_memory(Cores.here(), not engine.is_local(makes_dataframes(request.recipe))))
    if may_fit(request.output, stage.most_bytes(request.recipe, found)):
        return
    from pipeline.plan.forecast import forecast

    with running("Looking at a sample of the input: the disk has little place"):
        check_disk(request.output, forecast(request.recipe).most_disk)


def _session(stages: list[Stage]) -> engine.Session:
    with running("Starting"):
        return engine.open_engine(any(stage.spark for stage in stages))


def _run_stage(
    stage: Stage,
    run: Run,
    origin: dict[str, Any],
    former: Record | None,
    events: Events,
    check: Callable[[], None],
) -> Record:
    """Runs a stage, and says when and how in the events."""
    with events.of_stage(stage.name):
        done = _finished(stage, run, origin, former, check)
        events.stage_ended(done)
    return done


def _finished(
    stage: Stage, run: Run, origin: dict[str, Any], former: Record | None, check: Callable[[], None]
) -> Record:
    """Runs a stage and puts its tables into their place. ``former``: its record, where it only asks for what it misses;
    where it misses that still, nothing changes. ``check``: whether the output is still held.

    The recipe comes before the record, which makes the stage finished: a run that is killed here leaves no record that
    ``recipe.yaml`` does not fit.
    """
    started = time.monotonic()
    with running(stage.title, run.session):
        done = record_of(stage.name, origin, stage.run(run))
        if former and stage.missing(done) == stage.missing(former):
            storage.remove(storage.join(run.output, tables.STAGING))
            return former
        check()
        forget(run.output, stage)
        tables.commit(run.output, *stage.tables)
        files = tables.describe_files(run.session, run.output, list(stage.folders))
    storage.remove(storage.join(run.output, tables.STAGING))
    done = replace(done, seconds=time.monotonic() - started, files=files)
    write_recipe(run, run.finished)
    record.save(run.output, done)
    return done


def _show(summary: dict[str, Any], recipe: Recipe, changed: bool) -> None:
    """The table of a run, and what a person should know of it."""
    results.print(summary_table(summary["stages"]))
    for stage in summary["stages"]:
        if "bands" in stage:
            rows, threshold = stage["rows_per_band"], recipe.dedupe.threshold
            say(f"MinHash: {stage['bands']} bands of {rows} rows for the threshold {threshold}")
        for damaged in stage.get("damaged_files", []):
            say(f"damaged: {damaged['file']}: {damaged['error']}")
    given = summary["output"]
    if not changed:
        say(f"Nothing to do: {given} is up to date with the recipe and its input; --force (FORCE=1) redoes it.")
    say(f"Results: {given}")
