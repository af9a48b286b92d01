"""The stage ``shards``: ``curated`` and its images to webdataset tars."""

from typing import Any

from pipeline import storage, tables
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from pipeline.recipe import Recipe, pairs_table
from pipeline.recipe_file import found_path
from pipeline.run import Outcome, Request, Run
from pipeline.shards.content import MISSING, image_loader
from pipeline.shards.folder import MANIFEST, check_apart, check_owner, clear, is_there
from pipeline.shards.spark import count_ranks, write_shards
from pipeline.stage import Stage
from pipeline.tables import Account
from pipeline.tars.rows import SUCCESS
from pipeline.tars.stage import SOURCES, check_images, image_content, image_places, images_at_a_time
from pipeline.tombstones.table import Stored


def run(run: Run) -> Outcome:
    """Writes ``shards/``: the tars with an index and ``_stats.json`` beside each, ``sizes.json``, ``manifest.json``.

    With ``shards.folder`` all of them are there, the manifest last, and the two lists in ``shards/`` too.
    """
    recipe, source = run.recipe, pairs_table(run.recipe)
    rows_in = tables.count_rows(run.folder(source))
    dropped: dict[str, int] = {}
    staging = tables.staging(run.output, "shards")
    storage.remove(staging)
    storage.make_folder(staging)
    pairs = Files.of(run.folder(source))
    blur = recipe.shards.blur
    if blur is not None and blur not in pairs.schema().names:
        raise UsageError(f"shards.blur: no column {blur}; name it in input.pass_through too")
    more = [blur] if blur else []
    folder = staging
    if recipe.shards.folder is not None:  # Only now: the set before stays where the recipe is wrong.
        folder = found_path(recipe.shards.folder)
        clear(folder, recipe.name)
    # Shards are numbered by the pairs that have an image, so that all are full.
    located = image_places(run, pairs, rows_in)
    ranks = count_ranks(run.session, pairs, rows_in) if located is None else located.ranks
    if located is not None:
        dropped = {status: rows for status, rows in located.statuses.items() if status != SUCCESS}
        if missing := rows_in - sum(located.statuses.values()):
            dropped[MISSING] = missing
    load = image_loader(image_content(recipe.images), blur, recipe.images.most_pixels, Stored.of(run.output))
    places = None if located is None else located.places
    shards = write_shards(
        run.session, pairs, places, ranks, recipe.shards.samples, folder, load, images_at_a_time(run), *more
    )
    for line in shards:
        for reason, rows in line["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + rows
    samples = sum(line["samples"] for line in shards)
    manifest = {
        "name": recipe.name,
        "balance_mode": recipe.balance.mode,
        "samples": samples,
        "bytes": sum(line["bytes"] for line in shards),
        "shards": shards,
    }
    for place in dict.fromkeys((staging, folder)):
        storage.write_json(storage.join(place, "sizes.json"), {line["shard"]: line["samples"] for line in shards})
        storage.write_json(storage.join(place, MANIFEST), manifest)
    refused = {} if located is None else located.refused
    notes = {"shards": len(shards)} | ({"refused_members": refused} if refused else {})
    notes |= {"folder": recipe.shards.folder} if recipe.shards.folder is not None else {}
    return Account(rows_in, samples, dict(sorted(dropped.items()))), notes


def _check(request: Request) -> None:
    """Raises ``UsageError`` where there are no images for shards, or their folder is another's or overlaps others."""
    recipe, images = request.recipe, request.recipe.images
    if recipe.shards.folder is not None:
        check_owner(found_path(recipe.shards.folder), recipe.name)
        check_apart(recipe, request.output, request.source)
    if not _has_images(recipe):
        raise UsageError("images.root: missing; shards need it and images.prefix, or images.tars, or images.fetch")
    check_images(images)


def _has_images(recipe: Recipe) -> bool:
    return bool(recipe.images.fetch or recipe.images.root or recipe.images.tars)


def _depends(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "images": recipe.images.model_dump(include=SOURCES),
        "shards": recipe.shards.model_dump(),
    }


STAGE = Stage(
    name="shards",
    title="Writing shards",
    tables={"shards": "the curated pairs with their images, as webdataset tars"},
    reads=("balance", "images", "filter", "rebalance"),
    run=run,
    depends=_depends,
    in_recipe=_has_images,
    check=_check,
    files=lambda recipe, _: [storage.list_files(found_path(path)) for path in recipe.images.tars],
    is_there=is_there,
)
