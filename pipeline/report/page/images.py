"""Images of the finished shards: a random hundred as thumbnails, sizes and aspect; where images are from."""

import base64
import io
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.images.decode import SHARD_FORMATS, opened, upright
from pipeline.report.page.samples import clipped, host
from pipeline.report.page.source import Output
from pipeline.shards.tar import INDEX

SHOWN, OF_ENTRIES, SIDE, QUALITY, HOSTS = 100, 120, 96, 60, 15
URLS = 20_000
SIZES = [0, 64, 128, 200, 256, 384, 512, 768, 1024, 2048, 4096]
ASPECTS = [1.0, 1.1, 1.25, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 5.0, 10.0]


def shards_folder(output: Output) -> str | None:
    """The folder of the shards, or None where there are none with images."""
    given = output.section("shards").get("folder")
    if "shards" not in output.tables:
        return None
    folder = given or storage.join(output.folder, "shards")
    return folder if storage.exists(storage.join(folder, "manifest.json")) else None


class Shard:
    """The first shard of a folder that has samples: its index, and the images in it by row."""

    def __init__(self, folder: str):
        """Opens the first tar with an index; ``index`` is empty where there is none."""
        self.index, self.tar = pa.table({"pair_id": pa.array([], pa.int64())}), None
        for name in sorted(storage.names(folder)):
            if not name.endswith(".parquet"):
                continue
            try:
                index = pq.read_table(_opened(storage.join(folder, name)))
                if index.num_rows and set(INDEX.names) <= set(index.column_names):
                    self.tar = _opened(storage.join(folder, name.removesuffix(".parquet") + ".tar"))
                    self.index = index
                    return
            except (OSError, pa.ArrowException):  # Gone, moved or damaged: the page shows another, or none.
                continue

    def thumbnail(self, row: int) -> str | None:
        """An image as WebP of at most ``SIDE`` pixels, base64; None where it cannot be read."""
        return webp(self._read(row, "image"))

    def text(self, row: int) -> str:
        """The text of a sample."""
        return self._read(row, "txt").decode("utf-8", "replace")

    def _read(self, row: int, member: str) -> bytes:
        """The bytes of a member of a sample; none where the tar ends before."""
        try:
            self.tar.seek(self.index[f"{member}_offset"][row].as_py())
            return self.tar.read(self.index[f"{member}_size"][row].as_py())
        except OSError:
            return b""

    def close(self) -> None:
        """Closes the tar."""
        if self.tar is not None:
            self.tar.close()


def _opened(path: str) -> pa.NativeFile:
    filesystem, inner = storage.open_filesystem(path)
    return filesystem.open_input_file(inner)


def webp(content: bytes) -> str | None:
    """A thumbnail of an image's bytes."""
    try:
        with opened(content, formats=SHARD_FORMATS) as image:
            image.draft("RGB", (SIDE, SIDE))
            shown = upright(image)
            shown.thumbnail((SIDE, SIDE))
            out = io.BytesIO()
            shown.save(out, "WEBP", quality=QUALITY, method=2)
    except Exception:  # Whatever is wrong with an image, the page does without it.
        return None
    return base64.b64encode(out.getvalue()).decode()


def figures(output: Output, shard: Shard | None) -> dict[str, Any] | None:
    """Statuses and hosts of images, and of a shard sizes, aspect and thumbnails."""
    fetched = next((found for found in output.records if found["stage"] == "images"), None)
    found: dict[str, Any] = {"hosts": hosts(output), "urls": min(URLS, output.left.num_rows)}
    if fetched is not None:
        found["statuses"] = {"success": fetched["rows_out"], **fetched["dropped"]}
        found["failures_by_host"] = fetched["notes"].get("failures_by_host", [])
    if shard is not None and shard.index.num_rows:
        width, height = (shard.index[name].to_numpy() for name in ("width", "height"))
        short, long = np.minimum(width, height), np.maximum(width, height)
        found["sizes"] = {"from": SIZES, "images": in_bins(short, SIZES)}
        found["aspects"] = {"from": ASPECTS, "images": in_bins(long / np.maximum(short, 1), ASPECTS)}
        found["sampled"] = shard.index.num_rows
        rows = range(min(SHOWN, shard.index.num_rows))
        shown = [(shard.thumbnail(row), clipped(shard.text(row))) for row in rows]
        found["thumbnails"] = [{"webp": image, "text": text} for image, text in shown if image]
    return found


def in_bins(values: np.ndarray, edges: list[float]) -> list[int]:
    """How many values lie from each edge on, up to the next; the last has no end."""
    at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 1)
    return np.bincount(at, minlength=len(edges)).tolist()


def hosts(output: Output) -> list[list[Any]]:
    """The hosts of most pairs that are left, in the sample."""
    return [list(one) for one in Counter(map(host, output.left["url"][:URLS].to_pylist())).most_common(HOSTS)]
