"""Whether paths or URLs overlap: what is read must lie apart from what is written, by whatever spelling."""

import os
from pathlib import Path

import pyarrow.fs as pafs
from fsspec.implementations.local import LocalFileSystem

from pipeline import storage


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
