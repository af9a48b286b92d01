"""Writes one shard: ``{:05d}.tar`` of samples, its Parquet index, and ``_stats.json``.

The layout is img2dataset's and webdataset's (``key.png``, ``key.txt``, ``key.json``, members of one key together), with
fixed times and owners, so that a shard's bytes depend on its samples alone. The index has, for each member, the offset
of its content in the tar and its size.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.shards.content import ImageFile, Load, loaded
from pipeline.tars.sink import open_sink
from pipeline.tars.tar import TarWriter

INDEX = pa.schema(
    {
        "key": pa.string(),
        "pair_id": pa.int64(),
        "keep_probability": pa.float64(),
        "extension": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "sha256": pa.string(),
        "image_offset": pa.int64(),
        "image_size": pa.int64(),
        "txt_offset": pa.int64(),
        "txt_size": pa.int64(),
        "json_offset": pa.int64(),
        "json_size": pa.int64(),
    }
)
JSON_FIELDS = ("source_uid", "url", "text", "language", "entry_list", "entries", "keep_probability", "draw")


def shard_name(number: int) -> str:
    """``00000`` and so on."""
    return f"{number:05d}"


def sample_key(pair_id: int) -> str:
    """The key and uid of a sample: its pair_id as 16 unsigned hex digits."""
    return f"{pair_id % (1 << 64):016x}"


def write_shard(
    folder: str, number: int, rows: Iterable[dict[str, Any]], load: Load, at_a_time: int = 1
) -> dict[str, Any]:
    """Writes the shard of the rows (curated pairs in key order) and returns its line for the set's manifest.

    ``load`` gives the image of a row, or says why there is none; such a pair is left out and counted by reason. Files
    appear complete or not at all. The tar goes to disk as it grows; the memory is that of two blocks of it and of the
    images that are read ``at_a_time``: one where they are at hand, more where each is a request.
    """
    name = shard_name(number)
    filesystem, path = storage.open_filesystem(storage.join(folder, name))
    dropped: Counter = Counter()
    index: list[dict[str, Any]] = []
    with open_sink(filesystem, f"{path}.tar.part") as raw:
        tar = TarWriter(raw)
        for row, image in loaded(rows, load, at_a_time):
            if isinstance(image, ImageFile):
                index.append(_add_sample(tar, row, image))
            else:
                dropped[image] += 1
        tar.end()
    storage.sync(storage.join(folder, f"{name}.tar.part"))
    filesystem.move(f"{path}.tar.part", f"{path}.tar")
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(index, INDEX), table, compression="zstd")
    storage.write_bytes(storage.join(folder, f"{name}.parquet"), table.getvalue())
    line = {
        "shard": f"{name}.tar",
        "samples": len(index),
        "bytes": tar.size,
        "sha256": tar.digest.hexdigest(),
        "dropped": dict(sorted(dropped.items())),
    }
    storage.write_json(storage.join(folder, f"{name}_stats.json"), line)
    return line


def _add_sample(tar: TarWriter, row: dict[str, Any], image: ImageFile) -> dict[str, Any]:
    key = sample_key(row["pair_id"])
    sha256 = hashlib.sha256(image.content).hexdigest()
    meta = {"uid": key} | {name: row[name] for name in JSON_FIELDS}
    meta |= {"width": image.width, "height": image.height, "sha256": sha256}
    members = {image.extension: image.content, "json": orjson.dumps(meta), "txt": row["text"].encode()}
    line = {
        "key": key,
        "pair_id": row["pair_id"],
        "keep_probability": row["keep_probability"],
        "extension": image.extension,
        "width": image.width,
        "height": image.height,
        "sha256": sha256,
    }
    for extension, content in sorted(members.items()):
        which = extension if extension in ("txt", "json") else "image"
        line[f"{which}_offset"], line[f"{which}_size"] = tar.add(f"{key}.{extension}", content)
    return line
