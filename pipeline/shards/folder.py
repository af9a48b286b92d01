"""The folder that shards are written to: whose it is, what may be cleared there, and whether a set is finished."""

import re

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.overlap import lies_in, overlap
from pipeline.recipe import Recipe
from pipeline.recipe_file import found_path
from pipeline.tars.stage import list_tars

MANIFEST = "manifest.json"
OURS = re.compile(r"\d{5,}(\.tar|\.tar\.part|\.parquet|_stats\.json)|sizes\.json")


def clear(folder: str, name: str) -> None:
    """Makes the folder of a recipe's shards ready for them, and its own: a set without ``shards`` is not finished."""
    check_owner(folder, name)
    storage.make_folder(folder)
    storage.write_json(storage.join(folder, MANIFEST), {"name": name})
    for file in storage.names(folder):
        if OURS.fullmatch(file):
            storage.remove(storage.join(folder, file))


def check_owner(folder: str, name: str) -> None:
    """Raises ``UsageError`` where a folder cannot be listed, or holds shards of another recipe than ``name``."""
    try:
        there = [file for file in storage.names(folder) if OURS.fullmatch(file) or file == MANIFEST]
    except (UsageError, OSError) as problem:
        raise UsageError(f"shards.folder: {' '.join(str(problem).split())}") from None
    if there and _manifest(folder).get("name") != name:
        raise UsageError(f"shards.folder: {folder} holds {there[0]}, which is not of recipe {name!r}; give another")


def check_apart(recipe: Recipe, output: str, source: str) -> None:
    """Raises ``UsageError`` where ``shards.folder`` overlaps what a run reads or writes elsewhere: it is cleared.

    By whatever spelling: relative, through links, above or below.
    """
    given, images = recipe.shards.folder, recipe.images
    read = [("--output", output), ("--input", source)]
    read += [("images.root", found_path(images.root))] if images.root is not None else []
    read += [("filter.columns", found_path(folder)) for folder in recipe.filter.columns]
    folder = found_path(given)
    overlapped = [found for found in read if overlap(folder, found[1])]
    # Tars are many, and their folders few.
    above = {"".join((before.rpartition("/")[0], options))
             for before, options in map(storage.split_options, list_tars(images.tars))}  # fmt: skip
    overlapped += [("images.tars", place) for place in sorted(above) if lies_in(place, folder)]
    if overlapped:
        option, place = overlapped[0]
        raise UsageError(f"shards.folder: {given}: overlaps {option} {place}; give a folder apart from it")


def _manifest(folder: str) -> dict:
    found = storage.read_json(storage.join(folder, MANIFEST))
    return found if isinstance(found, dict) else {}


def is_there(recipe: Recipe) -> bool:
    """Whether the shards in ``shards.folder`` are finished; true where it is not given."""
    folder = recipe.shards.folder
    return folder is None or "shards" in _manifest(found_path(folder))
