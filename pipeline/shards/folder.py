"""The folder that shards are written to: whose it is, what may be cleared there, and whether a set is finished."""

import os
import re
from pathlib import Path

import pyarrow.fs as pafs
from fsspec.implementations.local import LocalFileSystem

from pipeline import storage
from pipeline.errors import UsageError
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


def overlap(first: str, second: str) -> bool:
    """Whether two paths or URLs are one place, or one lies in the other."""
    return lies_in(first, second) or lies_in(second, first)


def lies_in(place: str, folder: str) -> bool:
    """Whether a path or URL is, or lies in, that of a folder."""
    (one, path), (other, folder_path) = _place(place), _place(folder)
    if one is other is None:
        if _holds(folder_path, path):
            return True
    elif one is None or other is None or one.type_name != other.type_name:
        return False  # Options of a store, as its region, do not make another of it.
    parts, of_folder = (tuple(part for part in p.split("/") if part not in ("", ".")) for p in (path, folder_path))
    return parts[: len(of_folder)] == of_folder


def _place(path: str) -> tuple[pafs.FileSystem | None, str]:
    """The store and the path in it; None and the real path for this machine's files, by whatever scheme."""
    filesystem, inner = storage.open_filesystem(path)
    handler = getattr(filesystem, "handler", None)
    if isinstance(filesystem, pafs.LocalFileSystem) or isinstance(getattr(handler, "fs", None), LocalFileSystem):
        return None, os.path.realpath(inner)
    return filesystem, inner


def _holds(folder: str, path: str) -> bool:
    """Whether a path is or lies in a folder that is there, by what the system says is the same file."""
    return os.path.exists(folder) and any(
        os.path.exists(above) and os.path.samefile(above, folder) for above in (Path(path), *Path(path).parents)
    )


def _manifest(folder: str) -> dict:
    found = storage.read_json(storage.join(folder, MANIFEST))
    return found if isinstance(found, dict) else {}


def is_there(recipe: Recipe) -> bool:
    """Whether the shards in ``shards.folder`` are finished; true where it is not given."""
    folder = recipe.shards.folder
    return folder is None or "shards" in _manifest(found_path(folder))
