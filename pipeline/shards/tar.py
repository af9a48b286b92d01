"""Writes one shard: ``{:05d}.tar`` of samples, its Parquet index, and ``_stats.json``.

The layout is img2dataset's and webdataset's (``key.png``, ``key.txt``, ``key.json``, members of one key together), with
fixed times and owners, so that a shard's bytes depend on its samples alone. The index has, for each member, the offset
of its content in the tar and its size.
"""

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.shards.pictures import Load, Picture

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


def write_shard(folder: str, number: int, rows: Iterable[dict[str, Any]], load: Load) -> dict[str, Any]:
    """Writes the shard of the rows (curated pairs in key order) and returns its line for the set's manifest.

    ``load`` gives the picture of a row, or says why there is none; such a pair is left out and counted by reason. Files
    appear complete or not at all. The memory is that of one sample; the tar goes to disk as it grows.
    """
    name = shard_name(number)
    filesystem, path = storage.open_filesystem(storage.join(folder, name))
    dropped: Counter = Counter()
    index: list[dict[str, Any]] = []
    with filesystem.open_output_stream(f"{path}.tar.part", compression=None) as raw:
        out = _Hashed(raw)
        for row in rows:
            picture = load(row)
            if isinstance(picture, Picture):
                index.append(_add_sample(out, row, picture))
            else:
                dropped[picture] += 1
        # The end of a tar: two empty blocks, filled up to a record of 20.
        out.write(bytes(-(out.size + 1024) % tarfile.RECORDSIZE + 1024))
    filesystem.move(f"{path}.tar.part", f"{path}.tar")
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(index, INDEX), table, compression="zstd")
    storage.write_bytes(storage.join(folder, f"{name}.parquet"), table.getvalue())
    line = {
        "shard": f"{name}.tar",
        "samples": len(index),
        "bytes": out.size,
        "sha256": out.digest.hexdigest(),
        "dropped": dict(sorted(dropped.items())),
    }
    storage.write_json(storage.join(folder, f"{name}_stats.json"), line)
    return line


def _add_sample(out: "_Hashed", row: dict[str, Any], picture: Picture) -> dict[str, Any]:
    key = sample_key(row["pair_id"])
    sha256 = hashlib.sha256(picture.content).hexdigest()
    meta = {"uid": key} | {name: row[name] for name in JSON_FIELDS}
    meta |= {"width": picture.width, "height": picture.height, "sha256": sha256}
    members = {picture.extension: picture.content, "json": orjson.dumps(meta), "txt": row["text"].encode()}
    line = {
        "key": key,
        "pair_id": row["pair_id"],
        "keep_probability": row["keep_probability"],
        "extension": picture.extension,
        "width": picture.width,
        "height": picture.height,
        "sha256": sha256,
    }
    parts, at = [], out.size
    for extension, content in sorted(members.items()):
        which = extension if extension in ("txt", "json") else "image"
        line[f"{which}_offset"], line[f"{which}_size"] = at + tarfile.BLOCKSIZE, len(content)
        padding = -len(content) % tarfile.BLOCKSIZE
        parts += [_header(f"{key}.{extension}".encode(), len(content)), content, bytes(padding)]
        at += tarfile.BLOCKSIZE + len(content) + padding
    out.write(b"".join(parts))
    return line


def _header(name: bytes, size: int) -> bytes:
    """The ustar header of a file, as ``tarfile`` writes it, whose ``TarInfo`` takes longer than a small picture."""
    start, middle, end, checksum = _TEMPLATE
    length = b"%011o" % size
    total = checksum + sum(name) + sum(length)
    return b"".join((name, start[len(name) :], length, middle, b"%06o\0 " % total, end))


def _template() -> tuple[bytes, bytes, bytes, int]:
    """The header of an empty name and no size: before the size, from there to the checksum, after it, and its sum."""
    member = tarfile.TarInfo("")
    member.mode = 0o644
    header = member.tobuf(tarfile.USTAR_FORMAT)
    blank = header[:124] + bytes(11) + header[135:148] + b" " * 8 + header[156:]
    return blank[:124], blank[135:148], blank[156:], sum(blank)


_TEMPLATE = _template()


class _Hashed:
    """A stream that hashes and counts what is written to it."""

    def __init__(self, out: pa.NativeFile):
        self.out, self.digest, self.size = out, hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        """Writes on."""
        self.digest.update(content)
        self.size += len(content)
        self.out.write(content)
        return len(content)
