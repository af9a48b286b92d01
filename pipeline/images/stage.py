"""The stage ``images``: the pictures of ``curated``, fetched into ``fetched/``, and what came of each in ``images``."""

import time
from typing import Any

from pipeline import storage, tables
from pipeline.errors import UsageError
from pipeline.images.fetch import SUCCESS, remove_unnamed
from pipeline.images.spark import asked, by_reason, failures_by_host, fetch_shards, outcomes, to_retry
from pipeline.progress import say
from pipeline.record import fingerprint
from pipeline.run import Outcome, Run
from pipeline.tables import Account

HOSTS = 20


def run(run: Run) -> Outcome:
    """Fetches in rounds: all images, then again those whose status may change. The notes say who failed how.

    More ``images.retries`` on a finished output ask again for the failed ones alone.
    """
    options = run.recipe.images
    _check_session(run)
    folder = tables.staging(run.output, "fetched")
    images = run.cut(asked(run.table("curated")), "asked")
    count = images.count()
    plan = fingerprint(options.model_dump(exclude={"retries", "wait"}), count, _digest(images))
    _take_up(folder, storage.join(run.output, "fetched"), plan, run.force)
    first = shards = fetched_now = 0
    for turn in range(options.retries + 1):
        first += shards
        if turn > 0:
            images = run.cut(to_retry(outcomes(run.session, folder, first)), f"retry-{turn}")
            count = images.count()
        shards = -(-count // options.samples)
        if count == 0:
            break
        if fetched_now:  # not where the round before was of an earlier run
            time.sleep(options.wait * 2 ** (turn - 1))
        fetched_now = fetch_shards(images, first, shards, folder, options)
    found = tables.write(outcomes(run.session, folder, first + shards), run.output, "images")
    remove_unnamed(folder)
    counts = by_reason(found)
    fetched = counts.pop(SUCCESS, 0)
    asked_for = fetched + sum(counts.values())
    notes: dict[str, Any] = {"failures_by_host": failures_by_host(found, HOSTS)}
    if asked_for and fetched / asked_for < 0.5:
        say(
            f"Only {fetched / asked_for:.0%} of {asked_for:,} pictures came; summary.json has reasons and hosts. "
            "Where many are dns or timeout, run a caching resolver near the workers, or lower images.threads."
        )
    return Account(asked_for, fetched, counts), notes


def _check_session(run: Run) -> None:
    """A task that runs twice would ask twice; it does no other harm, as the first to finish stays."""
    conf = run.session.sparkContext.getConf()
    for key in ("spark.speculation", "spark.dynamicAllocation.enabled"):
        if conf.get(key, "false") == "true" and not (run.force or run.recipe.images.tasks_may_repeat):
            raise UsageError(
                f"{key}: found true, so that tasks run again and ask for pictures twice; allowed is false, or "
                "--set images.tasks_may_repeat=true"
            )


def _digest(images: tables.DataFrame) -> int:
    """A number for the set of images, whatever their order."""
    return images.selectExpr("sum(xxhash64(image_id, url) % 1000000007)").first()[0] or 0


def _take_up(folder: str, finished: str, plan: str, force: bool) -> None:
    """Prepares the folder: with what a stopped or an earlier run fetched of the same images with the same options."""
    if not storage.exists(folder) and storage.exists(finished) and not force:
        storage.replace(finished, folder)
    if force or storage.read_json(storage.join(folder, "_plan.json")) != {"plan": plan}:
        storage.remove(folder)
        storage.make_folder(folder)
        storage.write_json(storage.join(folder, "_plan.json"), {"plan": plan})
