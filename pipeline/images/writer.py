"""Where img2dataset puts the images of a shard: a tar as its own writer makes it, at a fraction of the cost."""

import hashlib
from typing import Any

import orjson
import pyarrow as pa

from pipeline.tars.sink import DirectFile
from pipeline.tars.tar import TarWriter
from pipeline.tombstones.rows import forbidden_images
from pipeline.tombstones.table import Tombstones
from pipeline.tombstones.values import REMOVED

# What is told of an image that is not kept.
NOTHING = dict.fromkeys(("sha256", "width", "height", "original_width", "original_height", "error_message"))


class SampleWriter:
    """Writes ``key.jpg`` and ``key.json`` of each image; stands in for img2dataset's ``WebDatasetSampleWriter``.

    ``found`` has img2dataset's row of each URL by its image_id; with an image, ``image_offset`` and ``image_size``
    too. ``problem``: the error that a write ended in, which img2dataset prints and goes on from. An image is not
    written, and has the status ``removed``, where its SHA-256, as it came or as it would be kept, is among the
    ``tombstones``.
    """

    def __init__(self, sink: DirectFile | pa.NativeFile, extension: str, tombstones: Tombstones | None = None):
        self.tar, self.extension, self.tombstones = TarWriter(sink), extension, tombstones
        self.found: dict[str, dict[str, Any]] = {}
        self.problem: Exception | None = None

    def write(self, image: bytes | None, key: str, _caption: str | None, row: dict[str, Any]) -> None:
        """Takes a row, and the image of it where there is one."""
        if image is not None and self._is_removed(image, row):
            image, row = None, row | NOTHING | {"status": REMOVED}
        if image is not None:
            try:
                offset, size = self.tar.add(f"{key}.{self.extension}", image)
                self.tar.add(f"{key}.json", orjson.dumps(row))
            except Exception as problem:
                self.problem = problem
                raise
            row = row | {"image_offset": offset, "image_size": size}
        self.found[row["image_id"]] = row

    def _is_removed(self, image: bytes, row: dict[str, Any]) -> bool:
        if self.tombstones is None:
            return False
        return bool(forbidden_images(self.tombstones, [row["sha256"], hashlib.sha256(image).hexdigest()]).any())

    def close(self) -> None:
        """Ends the tar. Raises the error that a write ended in: the tar is not to be used."""
        if self.problem is not None:
            raise self.problem
        self.tar.end()
