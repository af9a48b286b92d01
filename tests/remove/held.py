"""What an output holds: every byte of every file, unpacked as far as it is packed."""

import base64
import gzip
import json
import re
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.explain.asked import as_image_id
from pipeline.shards.tar import sample_key


def told_of(row: dict) -> list[bytes]:
    """What tells of a pair: its URL, text and ids, as bytes."""
    pair_id = row["pair_id"]
    words = [row["url"], row["text"], as_image_id(row["url"]), str(pair_id), sample_key(pair_id)]
    return [word.encode() for word in words] + [json.dumps(row["text"])[1:-1].encode()]


def holding(output: Path, needles: list[bytes]) -> list[tuple[str, bytes]]:
    """The files below an output that hold one of the needles, with it. The lock and the tombstones are read, too."""
    found = []
    for file in sorted(output.rglob("*")):
        if file.is_file():
            contents = list(_contents(file))
            found += [(str(file.relative_to(output)), needle) for needle in needles
                      if any(needle in content for content in contents)]  # fmt: skip
    return found


def _contents(file: Path):
    content = file.read_bytes()
    yield content
    if content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    if content[:4] == b"PAR1":
        read = pq.ParquetFile(file)
        for column in read.schema_arrow.names:
            values = read.read([column])[column].to_pylist()
            yield "\n".join(str(value) for value in values).encode()
        yield str(read.metadata.metadata).encode()
    if file.suffix in (".html", ".js"):
        for packed in re.findall(rb"[A-Za-z0-9+/]{64,}={0,2}", content):
            unpacked = base64.b64decode(packed + b"=" * (-len(packed) % 4))
            yield unpacked
            if unpacked[:2] == b"\x1f\x8b":
                yield gzip.decompress(unpacked)
