"""The stage ``shards``: ``curated`` and its pictures to webdataset tars."""

import re
from importlib.util import find_spec

from pipeline import storage, tables
from pipeline.errors import UsageError
from pipeline.places.stage import check_images, picture_places, pictures_at_a_time
from pipeline.recipe import Recipe, pairs_table
from pipeline.recipe_file import found_path
from pipeline.run import Outcome, Run
from pipeline.shards.pictures import pictures
from pipeline.shards.spark import without_picture, write_shards
from pipeline.tables import Account

MANIFEST = "manifest.json"
OURS = re.compile(r"\d{5,}(\.tar|\.tar\.part|\.parquet|_stats\.json)|sizes\.json")


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
    curated, content, refused = picture_places(run, run.table(source))
    if recipe.images.fetch or recipe.images.tars:
        # Shards are numbered by the pairs that have a picture, so that all are full.
        curated = run.cut(curated, "located")
        dropped = without_picture(curated)
        curated, pairs = curated.where("status = 'success'"), rows_in - sum(dropped.values())
    blur = recipe.shards.blur
    if blur is not None and blur not in curated.columns:
        raise UsageError(f"shards.blur: no column {blur}; name it in input.pass_through too")
    more = [blur] if blur else []
    folder = staging
    if recipe.shards.folder is not None:  # Only now: the set before stays where the recipe is wrong.
        folder = found_path(recipe.shards.folder)
        _clear(folder, recipe.name)
    load, at_a_time = pictures(content, blur), pictures_at_a_time(run)
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


def _clear(folder: str, name: str) -> None:
    """Makes the folder of a recipe's shards ready for them, and its own: a set without ``shards`` is not finished."""
    _check_folder(folder, name)
    storage.make_folder(folder)
    storage.write_json(storage.join(folder, MANIFEST), {"name": name})
    for file in storage.names(folder):
        if OURS.fullmatch(file):
            storage.remove(storage.join(folder, file))


def _check_folder(folder: str, name: str) -> None:
    try:
        there = [file for file in storage.names(folder) if OURS.fullmatch(file) or file == MANIFEST]
    except (UsageError, OSError) as problem:
        raise UsageError(f"shards.folder: {' '.join(str(problem).split())}") from None
    if there and _manifest(folder).get("name") != name:
        raise UsageError(f"shards.folder: {folder} holds {there[0]}, which is not of recipe {name!r}; give another")


def _manifest(folder: str) -> dict:
    found = storage.read_json(storage.join(folder, MANIFEST))
    return found if isinstance(found, dict) else {}


def is_there(recipe: Recipe) -> bool:
    """Whether the shards in ``shards.folder`` are finished; true where it is not given."""
    folder = recipe.shards.folder
    return folder is None or "shards" in _manifest(found_path(folder))


def check_shards(recipe: Recipe, fetching: bool) -> None:
    """Raises ``UsageError`` where there are no pictures for shards, or their folder is another's.

    ``fetching``: the stage images is to run.
    """
    images = recipe.images
    if recipe.shards.folder is not None:
        _check_folder(found_path(recipe.shards.folder), recipe.name)
    if fetching and not images.fetch:
        raise UsageError("images.fetch: found false; pictures are fetched where it is true")
    if images.fetch and find_spec("img2dataset") is None:
        raise UsageError("images.fetch: needs the package img2dataset: make images, or pip install '.[images]'")
    if not (images.fetch or images.tars or images.root):
        raise UsageError("images.root: missing; shards need it and images.prefix, or images.tars, or images.fetch")
    check_images(images)
