"""Shards as compressed tars, and all that a shard set reads of them."""

import bz2
import gzip
import lzma

import pytest
import zstandard

from pipeline.train import retries

PACKS = {
    "tar": bytes, "tar.gz": gzip.compress, "tgz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress,
    "tar.zst": lambda content: zstandard.ZstdCompressor().compress(content),
}  # fmt: skip


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)


def packed(shard_set, folder, kind):
    """The shards as files of a kind; without indexes, and with one sample a tar that has no text."""
    folder.mkdir(parents=True, exist_ok=True)
    for tar in sorted(shard_set.glob("*.tar")):
        (folder / f"{tar.stem}.{kind}").write_bytes(PACKS[kind](tar.read_bytes()))
    return folder


def every(shards):
    return [shards.samples([(shard, row) for row in range(count)], True) for shard, count in enumerate(shards.counts)]
