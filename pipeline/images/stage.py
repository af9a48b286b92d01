"""The stage ``images``: the images of ``curated``, fetched into ``fetched/``, and what came of each in ``images``.

``fetched/`` grows and is never cleared: what is there is not asked for again, whoever stopped the run before and
whatever of the recipe changed. Only where images are made in another way (``MAKING``) a new folder grows beside it, and
takes its place when all is there.
"""

import time
from importlib.util import find_spec
from typing import Any

from pipeline import record, storage, tables
from pipeline.errors import UsageError
from pipeline.images.fetch import SUCCESS, next_number, remove_unnamed
from pipeline.images.spark import (
    asked,
    by_reason,
    failures_by_host,
    fetch_shards,
    longest_wait,
    named_tars,
    outcomes,
    to_ask,
    tried,
)
from pipeline.progress import say
from pipeline.recipe import Images, Recipe
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account
from pipeline.tombstones.table import Stored

HOSTS = 20
FETCHED, PLAN = "fetched", "_plan.json"
# What makes a fetched image what it is, or decides whether it is taken.
MAKING = ("size", "resize", "only_if_bigger", "format", "quality", "min_side", "max_aspect", "most_bytes",
          "most_pixels")  # fmt: skip


def run(run: Run) -> Outcome:
    """Fetches in rounds: what was never asked for, then again what may come at another time. The notes say who failed.

    More ``images.retries`` on a finished output ask again for the failed ones alone.
    """
    options = run.recipe.images
    _check_session(run)
    images = run.cut(asked(run.table("curated")), "asked")
    asked_for = images.count()
    folder = _take_up(run.output, options, asked_for, run.force)
    first = next_number(folder)
    for turn in range(options.retries + 1):
        now = to_ask(images, tried(run.session, folder), options.retries, first, options.most_wait)
        now = run.cut(now, f"asked-{turn}")
        if (count := now.count()) == 0:
            break
        if turn > 0:
            time.sleep(max(options.wait * 2 ** (turn - 1), longest_wait(now)))
        removed = Stored.of(run.output)
        fetch_shards(now, next_number(folder), -(-count // options.samples), folder, options, removed)
    found = tables.write(outcomes(images, tried(run.session, folder)), run.output, "images")
    remove_unnamed(folder, named_tars(found))
    _put_in_place(run.output, folder)
    counts = by_reason(found)
    fetched = counts.pop(SUCCESS, 0)
    notes: dict[str, Any] = {"failures_by_host": failures_by_host(found, HOSTS)}
    if asked_for and fetched / asked_for < 0.5:
        say(
            f"Only {fetched / asked_for:.0%} of {asked_for:,} images came; summary.json has reasons and hosts. "
            "Where many are dns or timeout, run a caching resolver near the workers, or lower images.threads."
        )
    return Account(asked_for, fetched, counts), notes


def _check_session(run: Run) -> None:
    """A task that runs twice would ask twice; it does no other harm, as the first to finish stays."""
    conf = run.session.sparkContext.getConf()
    for key in ("spark.speculation", "spark.dynamicAllocation.enabled"):
        if conf.get(key, "false") == "true" and not (run.force or run.recipe.images.tasks_may_repeat):
            raise UsageError(
                f"{key}: found true, so that tasks run again and ask for images twice; allowed is false, or "
                "--set images.tasks_may_repeat=true"
            )


def _take_up(output: str, options: Images, count: int, force: bool) -> str:
    """The folder that images are fetched into: ``fetched/``, or one beside it where those there are made otherwise."""
    making = options.model_dump(include=set(MAKING))
    fetched = storage.join(output, FETCHED)
    plan = record.fingerprint(making)[:8]
    begun, forced = (storage.join(output, f".{FETCHED}-{name}") for name in (plan, f"{plan}-forced"))
    there = storage.read_json(storage.join(fetched, PLAN)) if storage.exists(fetched) else making
    if force or (not storage.exists(fetched) and storage.exists(forced)):
        folder = forced  # Begun by force before, or stopped on its way into its place: it goes on.
    elif there == making and not storage.exists(begun):
        folder = fetched
    else:
        folder = begun
    if force or there != making:
        say(f"All {count:,} images are asked for again: {'--force' if force else _changes(there, making)}")
    storage.make_folder(folder)
    storage.write_json(storage.join(folder, PLAN), making)
    return folder


def _changes(before: Any, making: dict[str, Any]) -> str:
    """What differs in the making of images."""
    if not isinstance(before, dict) or set(before) != set(making):
        return "how those that are there were made is not known"
    return "; ".join(
        f"images.{key} was {before[key]}, is {making[key]}" for key in MAKING if before[key] != making[key]
    )


def _put_in_place(output: str, folder: str) -> None:
    """Lets a folder that is finished take the place of ``fetched/``; what was begun otherwise in others stays."""
    fetched, old = storage.join(output, FETCHED), storage.join(output, f".{FETCHED}-old")
    if folder != fetched:
        record.remove(output, "images")  # The table that is there names the tars that go.
        storage.remove(old)
        if storage.exists(fetched):
            storage.replace(fetched, old)  # Moved, so that a run that is stopped here leaves nothing half removed.
        storage.replace(folder, fetched)
    storage.remove(old)
    for name in storage.names(output):
        if name.startswith(f".{FETCHED}-"):
            say(f"{storage.join(output, name)} has images that were begun otherwise; remove it if nobody goes on there")


def _check(request: Request) -> None:
    if not request.recipe.images.fetch:
        raise UsageError("images.fetch: found false; images are fetched where it is true")
    if find_spec("img2dataset") is None:
        raise UsageError("images.fetch: needs the package img2dataset: pip install 'metaclip-pipeline[images]'")


def _depends(recipe: Recipe) -> dict[str, Any]:
    return {"images": recipe.images.model_dump(include={*MAKING, "retries"})}


STAGE = Stage(
    name="images",
    title="Fetching images",
    tables={"images": "every image that was asked for, and what became of it"},
    beside=(FETCHED,),
    reads=("balance",),
    run=run,
    depends=_depends,
    in_recipe=lambda recipe: recipe.images.fetch,
    check=_check,
    spark=True,
)
