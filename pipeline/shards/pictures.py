"""Where the picture of a pair is: a local file, or a member of a tar that was fetched; and whether shards take it.

Of local ones, only a URL that starts with the recipe's ``images.prefix`` stands for a file, and only for one below
``images.root``.
"""

import io
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from PIL import Image

from pipeline import storage

EXTENSIONS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
NOT_LOCAL, OUTSIDE, MISSING, UNREADABLE = "not_local", "outside_root", "missing_image", "unreadable_image"


@dataclass(frozen=True)
class Picture:
    """The bytes of a picture file, its member extension, and its size in pixels."""

    content: bytes
    extension: str
    width: int
    height: int


Load = Callable[[dict[str, Any]], Picture | str]


def local_pictures(root: str, prefix: str) -> Load:
    """What loads the picture of a curated pair from the files below ``root``."""
    return lambda row: load_picture(row["url"], root, prefix)


def tar_pictures() -> Load:
    """What loads the picture of a curated pair that has its place in a tar beside it: its bytes as they are."""

    def load(row: dict[str, Any]) -> Picture | str:
        content = _open_tar(row["tar"]).read_at(row["image_size"], row["image_offset"])
        return _looked_at(content)

    return load


@lru_cache(maxsize=64)
def _open_tar(tar: str):
    filesystem, path = storage.open_filesystem(tar)
    return filesystem.open_input_file(path)


def picture_path(url: str, root: str, prefix: str) -> str | None:
    """The file below ``root`` that a URL stands for, or None where it would lie outside."""
    relative = unquote(url[len(prefix) :].split("?", 1)[0].split("#", 1)[0])
    normal = posixpath.normpath(relative.lstrip("/"))
    if "\0" in normal or "\\" in normal or normal in (".", "..") or normal.startswith("../") or not relative:
        return None
    return storage.join(root, normal)


def load_picture(url: str, root: str, prefix: str) -> Picture | str:
    """The picture of a URL, or the reason why there is none."""
    if not url.startswith(prefix):
        return NOT_LOCAL
    path = picture_path(url, root, prefix)
    if path is None:
        return OUTSIDE
    try:
        content = storage.read_bytes(path)
    except OSError:
        return MISSING
    return _looked_at(content)


def _looked_at(content: bytes) -> Picture | str:
    try:
        with Image.open(io.BytesIO(content), formats=list(EXTENSIONS)) as image:
            image.verify()
            return Picture(content, EXTENSIONS[image.format], image.width, image.height)
    except Exception:  # Pillow's decoders raise errors of many kinds on bad bytes.
        return UNREADABLE
