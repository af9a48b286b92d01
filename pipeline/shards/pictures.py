"""Local pictures: which file a URL stands for, and whether it is a picture that shards take.

Only a URL that starts with the recipe's ``images.prefix`` stands for a file, and only for one below ``images.root``.
"""

import io
import posixpath
from dataclasses import dataclass
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
    try:
        with Image.open(io.BytesIO(content), formats=list(EXTENSIONS)) as image:
            image.verify()
            return Picture(content, EXTENSIONS[image.format], image.width, image.height)
    except Exception:  # Pillow's decoders raise errors of many kinds on bad bytes.
        return UNREADABLE
