"""The files that a path, folder or pattern stands for.

A pattern is matched part by part between slashes: ``*``, ``?`` and ``[...]`` as in a shell, ``**`` for folders of any
depth, none included. What is there under the name as it is written is that, whatever characters the name has, and a
part of a pattern likewise. Nothing is listed that a pattern cannot reach: not a bucket for the sake of a folder in it.
"""

import fnmatch
import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.fs as pafs

from pipeline.errors import UsageError
from pipeline.paths import GLOB, absolute, is_url, join, open_filesystem, split_options

ANY_DEPTH = "**"

Found = tuple[str, int, int]


@dataclass(frozen=True)
class _Entry:
    """A file or folder: its name, bytes, and when it was modified in ns."""

    name: str
    folder: bool
    size: int = 0
    modified: int = 0


def list_files(pattern: str) -> list[Found]:
    """The files of a path, folder (recursively) or pattern, sorted, each once: (path, bytes, modified in ns).

    Hidden ones (names starting with ``.`` or ``_``) below a folder are left out, as Spark does, unless the part of the
    pattern begins so too. Links are followed, but not round in a circle. A link to nowhere is a file of no bytes, so
    that who reads it says so. An empty list where there is nothing. Raises ``UsageError`` for a ``**`` beside other
    characters, and for names that are not UTF-8.
    """
    pattern = absolute(pattern)
    if _entry(pattern):
        return files_below(pattern)
    before, options = split_options(pattern)
    start = before.index("://") + 3 if is_url(before) else 0
    root, *parts = before[start:].rstrip("/").split("/")
    first = next((n for n, part in enumerate(parts) if GLOB.search(part)), None)
    if first is None:
        return []
    if wrong := [part for part in parts if ANY_DEPTH in part and part != ANY_DEPTH]:
        raise UsageError(f"{pattern}: found {wrong[0]!r}; ** stands alone between two slashes")
    stem = "/".join([before[:start] + root, *parts[:first]]) + ("" if first else "/")
    return sorted(set(_matching(stem + options, parts[first:])))


def files_below(path: str) -> list[Found]:
    """The files of a path or folder, which is no pattern whatever its characters; else as ``list_files``."""
    path = absolute(path)
    entry = _entry(path)
    if entry is None:
        return []
    if not entry.folder:
        return [(path, entry.size, entry.modified)]
    return sorted(_below_url(path) if is_url(path) else _below_local(path, ()))


def _matching(folder: str, parts: list[str]) -> Iterator[Found]:
    """The files below a folder that match the parts of a pattern; a folder that matches gives all its files."""
    if not parts:
        yield from files_below(folder)
        return
    part, *rest = parts
    if part == ANY_DEPTH:
        above = len(split_options(folder)[0].rstrip("/")) + 1
        for file in files_below(folder):
            if _fits(split_options(file[0])[0][above:].split("/"), parts):
                yield file
    elif not GLOB.search(part) or _entry(join(folder, part)):
        yield from _matching(join(folder, part), rest)
    else:
        for entry in _children(folder):
            if not fnmatch.fnmatchcase(entry.name, part) or (_hidden(entry.name) and not _hidden(part)):
                continue
            if entry.folder:
                yield from _matching(join(folder, entry.name), rest)
            elif not rest:
                yield join(folder, entry.name), entry.size, entry.modified


def _fits(names: list[str], parts: list[str]) -> bool:
    """Whether a file's path, or that of a folder it is in, matches."""
    if not parts:
        return True
    part, *rest = parts
    if part == ANY_DEPTH:
        return any(_fits(names[depth:], rest) for depth in range(len(names) + 1))
    return bool(names) and (names[0] == part or fnmatch.fnmatchcase(names[0], part)) and _fits(names[1:], rest)


def _hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _entry(path: str) -> _Entry | None:
    """What is at a path or URL, or None."""
    if not is_url(path):
        return _local(path)
    filesystem, inner = open_filesystem(path)
    return _of(filesystem.get_file_info(inner))


def _children(folder: str) -> list[_Entry]:
    """What is in a folder; nothing where it is none."""
    if not is_url(folder):
        return _local_children(folder) if os.path.isdir(folder) else []
    filesystem, inner = open_filesystem(folder)
    if filesystem.get_file_info(inner).type == pafs.FileType.File:
        return []
    infos = filesystem.get_file_info(pafs.FileSelector(inner, allow_not_found=True))
    return [entry for info in infos if (entry := _of(info))]


def _below_url(folder: str) -> Iterator[Found]:
    """The files below a folder of a store, by one listing."""
    filesystem, inner = open_filesystem(folder)
    above = len(inner.strip("/"))  # fsspec gives its paths with or without a slash before them
    for info in filesystem.get_file_info(pafs.FileSelector(inner, recursive=True)):
        parts = info.path.strip("/")[above:].strip("/").split("/")
        if info.is_file and not any(map(_hidden, parts)):
            yield join(folder, *parts), info.size, info.mtime_ns or 0


def _of(info: pafs.FileInfo) -> _Entry | None:
    if info.type == pafs.FileType.Directory:
        return _Entry(info.base_name, True)
    return _Entry(info.base_name, False, info.size, info.mtime_ns or 0) if info.is_file else None


def _below_local(folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[Found]:
    """The files below a folder; ``above``: the folders it is in, so that a link back to one of them ends there."""
    state = os.stat(folder)
    if (here := (state.st_dev, state.st_ino)) in above:
        return
    for entry in _local_children(folder):
        path = posixpath.join(folder, entry.name)
        if _hidden(entry.name):
            continue
        if entry.folder:
            yield from _below_local(path, (*above, here))
        else:
            yield path, entry.size, entry.modified


def _local_children(folder: str) -> list[_Entry]:
    paths = [posixpath.join(folder, name) for name in os.listdir(folder)]
    return [entry for path in paths if (entry := _local(absolute(path)))]


def _local(path: str) -> _Entry | None:
    """What is at a path of this machine, or None where that is nothing, or is neither file nor folder."""
    name = posixpath.basename(path)
    try:
        state = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _Entry(name, False) if os.path.islink(path) else None
    if stat.S_ISDIR(state.st_mode):
        return _Entry(name, True)
    return _Entry(name, False, state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else None
