"""Where the image of a pair is: a local file, or a member of a tar that was fetched; and whether shards take it.

Of local ones, only a URL that starts with the recipe's ``images.prefix`` stands for a file, and only for one below
``images.root``.
"""

import hashlib
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from pipeline import storage
from pipeline.images.decode import MOST_PIXELS, SHARD_FORMATS, TooManyPixels, opened
from pipeline.shards.blur import BAD_BOXES, blurred, boxes_of
from pipeline.shards.jpeg import jpeg_size
from pipeline.tombstones.rows import forbidden_images
from pipeline.tombstones.table import Stored
from pipeline.tombstones.values import REMOVED

# A JPEG with further images behind it, as telephones make them for depth or brightness, is a JPEG to its readers.
EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
NOT_LOCAL, OUTSIDE, MISSING, UNREADABLE = "not_local", "outside_root", "missing_image", "unreadable_image"
TOO_MANY_PIXELS = "too_many_pixels"


@dataclass(frozen=True)
class ImageFile:
    """The bytes of an image file, its member extension, and its size in pixels."""

    content: bytes
    extension: str
    width: int
    height: int


Content = Callable[[dict[str, Any]], bytes | str]
Load = Callable[[dict[str, Any]], ImageFile | str]


def image_loader(
    content: Content, blur: str | None = None, most_pixels: int = MOST_PIXELS, removed: Stored | None = None
) -> Load:
    """What loads the image of a curated pair, or says why there is none, from what gives its bytes.

    ``blur``: the column with the boxes that are blurred; an image whose boxes cannot be told is not taken.
    ``most_pixels``: nor is a larger one, by what its header says. ``removed``: nor those whose SHA-256 has a tombstone.
    """

    def load(row: dict[str, Any]) -> ImageFile | str:
        found = content(row)
        if removed and isinstance(found, bytes) and _is_removed(found, removed):
            return REMOVED
        boxes = boxes_of(row[blur]) if blur else []
        if boxes is None:
            return BAD_BOXES
        image = found if isinstance(found, str) else _looked_at(found, most_pixels)
        if isinstance(image, str) or not boxes:
            return image
        try:
            image = _looked_at(blurred(image.content, boxes, most_pixels), most_pixels)
            return REMOVED if removed and _is_removed(image.content, removed) else image
        except Exception:  # As above: it could be opened, and not decoded.
            return UNREADABLE

    return load


def _is_removed(content: bytes, removed: Stored) -> bool:
    return bool(forbidden_images(removed.loaded(), [hashlib.sha256(content).hexdigest()])[0])


def loaded(
    rows: Iterable[dict[str, Any]], load: Callable[[dict[str, Any]], Any], at_a_time: int
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Each row with what ``load`` gives for it, in the order of the rows; so many are loaded ``at_a_time``."""
    if at_a_time == 1:
        yield from ((row, load(row)) for row in rows)
        return
    waiting: deque[tuple[dict[str, Any], Future]] = deque()
    with ThreadPoolExecutor(at_a_time) as threads:
        for row in rows:
            waiting.append((row, threads.submit(load, row)))
            if len(waiting) == at_a_time:
                first, found = waiting.popleft()
                yield first, found.result()
        for row, found in waiting:
            yield row, found.result()


def local_content(root: str, prefix: str) -> Content:
    """What reads the image file of a curated pair from the files below ``root``."""
    return lambda row: read_image(row["url"], root, prefix)


def tar_content(row: dict[str, Any]) -> bytes:
    """The image file of a curated pair that has its place in a tar beside it."""
    return _open_tar(row["tar"]).read_at(row["image_size"], row["image_offset"])


@lru_cache(maxsize=512)  # Below the files that a process may have open, as a rule.
def _open_tar(tar: str):
    filesystem, path = storage.open_filesystem(tar)
    return filesystem.open_input_file(path)


def image_path(url: str, root: str, prefix: str) -> str | None:
    """The file below ``root`` that a URL stands for, or None where it would lie outside."""
    relative = unquote(url[len(prefix) :].split("?", 1)[0].split("#", 1)[0])
    normal = posixpath.normpath(relative.lstrip("/"))
    if "\0" in normal or "\\" in normal or normal in (".", "..") or normal.startswith("../") or not relative:
        return None
    return storage.join(root, normal)


def read_image(url: str, root: str, prefix: str) -> bytes | str:
    """The image file of a URL, or the reason why there is none."""
    if not url.startswith(prefix):
        return NOT_LOCAL
    path = image_path(url, root, prefix)
    if path is None:
        return OUTSIDE
    try:
        return storage.read_bytes(path)
    except OSError:
        return MISSING


def _looked_at(content: bytes, most_pixels: int = MOST_PIXELS) -> ImageFile | str:
    if size := jpeg_size(content):
        fits = size[0] * size[1] <= most_pixels
        return ImageFile(content, EXTENSIONS["JPEG"], *size) if fits else TOO_MANY_PIXELS
    try:
        with opened(content, most_pixels, SHARD_FORMATS) as image:
            image.verify()
            return ImageFile(content, EXTENSIONS[image.format], image.width, image.height)
    except TooManyPixels:
        return TOO_MANY_PIXELS
    except Exception:  # Pillow's decoders raise errors of many kinds on bad bytes.
        return UNREADABLE
