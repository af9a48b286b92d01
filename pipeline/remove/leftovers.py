"""What may hold something of what goes and follows from the rest: indexes, staging, and what killed runs left."""

import re

import pyarrow.fs as pafs

from pipeline import storage
from pipeline.explain.index import FOLDER as INDEX
from pipeline.remove.place import Place

STAGING, BEFORE = ".staging", ".before"  # as in `pipeline.tables` and `pipeline.grow`
# What `storage.write_bytes` leaves of a file where it is killed, and the parts of tars.
UNFINISHED = re.compile(r"\..+\.[0-9a-f]{32}|.+\.part")


def clear(place: Place, folders: list[str]) -> None:
    """Removes them. ``folders``: those of the stages, in which hidden files are of no table."""
    for name in (INDEX, STAGING, BEFORE):
        storage.remove(place.path(name))
    for name in storage.names(place.output):
        if UNFINISHED.fullmatch(name):
            storage.remove(place.path(name))
    for folder in [*map(place.path, folders), place.shards]:
        for name in storage.names(folder):
            if UNFINISHED.fullmatch(name) or (name.startswith(".") and _is_file(storage.join(folder, name))):
                storage.remove(storage.join(folder, name))


def _is_file(path: str) -> bool:
    filesystem, inner = storage.open_filesystem(path)
    return filesystem.get_file_info(inner).type == pafs.FileType.File
