"""Vectors of the images and texts of a shard set.

Each tar has a file, so that what stopped goes on, and several processes share the tars. The files are of the model and
the tars by name, size and time: those of others are not taken.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.paths import shown
from pipeline.train.distributed import ProcessGroup
from pipeline.train.encoder import Encoder, finite
from pipeline.train.given import identity
from pipeline.train.outputs import part_of
from pipeline.train.reading import SampleDataset, Samples, chunks_of, in_workers
from pipeline.train.shards import ShardSet


@dataclass
class ShardVectors:
    """Of a shard that has samples: vectors, and each sample's language and digest of its image."""

    shard: int
    keys: np.ndarray
    digests: np.ndarray  # 16 bytes each
    languages: np.ndarray
    readable: np.ndarray  # whether its image can be read
    rows: np.ndarray  # the first sample of each distinct image that can be read
    images: np.ndarray  # theirs
    texts: np.ndarray  # of all samples; none where they are not asked for


def embed_shards(
    encoder: Encoder,
    shards: ShardSet,
    folder: Path,
    group: ProcessGroup,
    advance: Callable[[int], None],
    with_texts: bool,
    workers: int | None = None,
) -> Iterator[ShardVectors]:
    """The vectors of each shard, in order, when all processes have made their share; where one fails, all do.

    ``advance(done)`` is called with the samples done.
    """

    def look() -> tuple[list[Path], list[int]]:
        folder.mkdir(parents=True, exist_ok=True)
        making = encoder.fingerprint(), with_texts
        files = [folder / f"{_name(*making, *tar)}.npz" for tar in zip(shards.tars, shards.states, strict=True)]
        return files, [shard for shard, file in enumerate(files) if not file.is_file()]

    files, missing = group.together(look)
    # Rank 0 says what is missing: what another has written meanwhile does not count.
    missing = group.gather(missing)[0]
    own = missing[group.rank :: group.world_size]
    advance(int(shards.counts.sum() - shards.counts[missing].sum()))
    group.together(lambda: _embed(encoder, shards, own, files, group, advance, with_texts, workers))
    return _read(shards, files)


def _read(shards: ShardSet, files: list[Path]) -> Iterator[ShardVectors]:
    for shard in np.flatnonzero(shards.counts):
        with np.load(files[shard]) as content:
            yield ShardVectors(int(shard), **content)


def _embed(encoder, shards, own: list[int], files: list[Path], group, advance, with_texts: bool, workers) -> None:
    """Writes the vectors of a process's share of the shards."""
    items = [item for shard in own for item in chunks_of(shard, shards.counts[shard])]
    found: list[tuple[Samples, np.ndarray, np.ndarray]] = []
    for samples in in_workers(SampleDataset(shards, encoder.inputs), items, group, workers):
        names = [f"{shown(shards.tars[samples.shard])}: {key}" for key in samples.keys]
        texts, images = np.empty((0, 0), np.float32), np.empty((0, 0))
        if with_texts:
            texts = finite(encoder.encode_tokens(*samples.tokens), names)
        if samples.pixels is not None:
            images = finite(encoder.encode_pixels(samples.pixels), [names[row] for row in samples.readable])
        found.append((samples, images, texts))
        advance(len(samples.keys))
        if samples.start + len(samples.keys) == shards.counts[samples.shard]:
            _save(files[samples.shard], found)
            found = []


def _save(file: Path, found: list[tuple[Samples, np.ndarray, np.ndarray]]) -> None:
    digests = [digest for samples, _, _ in found for digest in samples.digests]
    readable = np.zeros(len(digests), bool)
    seen, rows, images = set(), [], []
    for samples, vectors, _ in found:
        for place, vector in zip(samples.readable, vectors, strict=True):
            row = samples.start + place
            readable[row] = True
            if digests[row] not in seen:
                seen.add(digests[row])
                rows.append(row)
                images.append(vector)
    part = part_of(file)
    with part.open("wb") as out:
        np.savez(
            out,
            keys=np.array([key for samples, _, _ in found for key in samples.keys]),
            digests=np.array([np.frombuffer(digest, np.uint8) for digest in digests]),
            languages=np.array([language for samples, _, _ in found for language in samples.languages]),
            readable=readable,
            rows=np.array(rows, np.int64),
            images=np.array(images, np.float32),
            texts=np.concatenate([texts for _, _, texts in found]),
        )
    part.replace(file)


def _name(model: str, with_texts: bool, tar: str, state: str) -> str:
    return hashlib.sha256(repr((model, with_texts, identity(tar), state)).encode()).hexdigest()[:24]
