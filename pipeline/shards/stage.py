"""The stage ``shards``: ``curated`` and its images to webdataset tars."""

from typing import Any

from pipeline import storage, tables
from pipeline.errors import UsageError
from pipeline.places.stage import SOURCES, check_images, image_places, images_at_a_time
from pipeline.recipe import Recipe, pairs_table
from pipeline.recipe_file import found_path
from pipeline.run import Outcome, Request, Run
from pipeline.shards.content import image_loader
from pipeline.shards.folder import MANIFEST, check_apart, check_owner, clear, is_there
from pipeline.shards.spark import without_image, write_shards
from pipeline.stage import Stage
from pipeline.tables import Account


def run(run: Run) -> Outcome:
    """Writes ``shards/``: the tars with an index and ``_stats.json`` beside each, ``sizes.json``, ``manifest.json``.

    With ``shards.folder`` all of them are there, the manifest last, and the two lists in ``shards/`` too.
    """
    recipe, source = run.recipe, pairs_table(run.recipe)
    pairs = rows_in = tables.count_rows(run.folder(source))
    dropped: dict[str, int] = {}
    staging = tables.staging(run.output, "shards")
    storage.remove(staging)
    storage.make_folder(staging)
    curated, content, refused = image_places(run, run.table(source))
    if recipe.images.fetch or recipe.images.tars:
        # Shards are numbered by the pairs that have an image, so that all are full.
        curated = run.cut(curated, "located")
        dropped = without_image(curated)
        curated, pairs = curated.where("status = 'success'"), rows_in - sum(dropped.values())
    blur = recipe.shards.blur
    if blur is not None and blur not in curated.columns:
        raise UsageError(f"shards.blur: no column {blur}; name it in input.pass_through too")
    more = [blur] if blur else []
    folder = staging
    if recipe.shards.folder is not None:  # Only now: the set before stays where the recipe is wrong.
        folder = found_path(recipe.shards.folder)
        clear(folder, recipe.name)
    load, at_a_time = image_loader(content, blur, recipe.images.most_pixels), images_at_a_time(run)
    written = write_shards(curated, pairs, recipe.shards.samples, folder, load, at_a_time, *more)
    shards = sorted(written.toArrow().to_pylist(), key=lambda line: line["shard"])
    for line in shards:
        line["dropped"] = dict(line["dropped"])
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
    job="shards",
    tables={"shards": "the curated pairs with their images, as webdataset tars"},
    reads=("balance", "images", "filter", "rebalance"),
    run=run,
    depends=_depends,
    in_recipe=_has_images,
    check=_check,
    files=lambda recipe, _: [storage.list_files(found_path(path)) for path in recipe.images.tars],
    is_there=is_there,
)
