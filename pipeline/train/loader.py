"""Batches: worker processes read, decode and crop samples and encode their texts, in parts of a batch.

A part's content depends on the seed and its place in the stream alone, so the number of workers and of processes
changes nothing. A broken sample is counted and another takes its slot.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset

from pipeline.errors import PipelineError
from pipeline.train.images import DRAWS, decode, draft_side, training_pixels
from pipeline.train.order import Order, uniforms
from pipeline.train.shards import ShardSet
from pipeline.train.tokenizer import encode

PART = 128  # samples that a worker makes at a time
CROP, KEEP = 1001, 1002  # what random numbers are for
ATTEMPTS = 100
BROKEN = (OSError, ValueError, SyntaxError, EOFError, MemoryError)


@dataclass
class Part:
    """Some consecutive samples of a batch."""

    images: torch.Tensor  # uint8, n x 3 x h x w
    ids: torch.Tensor  # int32, n x tokens, padded
    keys: list[str]
    broken: Counter  # by what was wrong


class Parts(Dataset):
    """The parts of batches: item (start, end) is of the samples at these places of the stream."""

    def __init__(
        self,
        shards: ShardSet,
        order: Order,
        tokenizer,
        size: int,
        crop: tuple[float, float],
        draft: bool,
    ):
        """What samples are read, in what order, and how images and texts are made input."""
        self.shards, self.order, self.tokenizer = shards, order, tokenizer
        self.size, self.crop, self.draft = size, crop, draft

    def __getitem__(self, places: tuple[int, int]) -> Part:
        start, end = places
        draws = uniforms(self.order.seed, CROP, np.arange(start, end), DRAWS)
        images = np.empty((end - start, 3, self.size, self.size), np.uint8)
        keys, texts, broken = [], [], Counter()
        for slot, (shard, row) in enumerate(self.order.samples(start, end)):
            key, image, text = self._load(shard, row, start + slot, draws[slot], broken)
            images[slot] = image
            keys.append(key)
            texts.append(text)
        # Tensors come from a worker in shared memory.
        return Part(torch.from_numpy(images), torch.from_numpy(encode(self.tokenizer, texts)), keys, broken)

    def _load(self, shard, row, place: int, draws: np.ndarray, broken: Counter) -> tuple[str, np.ndarray, str]:
        for attempt in range(ATTEMPTS):
            try:
                key, content, text = self.shards.sample(shard, row)
                image = decode(content, draft_side(self.size, self.crop) if self.draft else None)
                return key, training_pixels(image, self.size, self.crop, draws), text
            except BROKEN as error:
                broken[type(error).__name__] += 1
                shard, row = self.order.substitute(place, attempt)
        raise PipelineError(f"data.shards: {self.shards.tars[shard]}: {ATTEMPTS} samples on end cannot be read")


class KeepByProbability:
    """For online balancing: which samples of a shard an epoch has, each with its ``keep_probability``.

    Every epoch draws anew (MetaCLIP, table 6). The shard's numbers are read at each call and not kept.
    """

    def __init__(self, shards: ShardSet, seed: int):
        self.shards, self.seed = shards, seed

    def __call__(self, epoch: int, shard: int) -> np.ndarray:
        """A mask of the shard's samples."""
        places = (np.int64(epoch) << 44) + (np.int64(shard) << 24) + np.arange(self.shards.counts[shard])
        return uniforms(self.seed, KEEP, places, 1)[:, 0] < self.shards.probabilities(shard)


def places_of(step: int, steps: int, batch: int, rank: int, ranks: int) -> Iterator[tuple[int, int]]:
    """The places of the parts that a process needs from a step on, in order."""
    local = batch // ranks
    for current in range(step, steps):
        first = current * batch + rank * local
        for start in range(first, first + local, PART):
            yield start, min(start + PART, first + local)


def batches(parts: Dataset, step: int, steps: int, batch: int, rank: int, ranks: int, workers: int) -> Iterator[Part]:
    """The process's share of each batch from a step on, as one part, its texts padded to the longest."""
    loader = DataLoader(
        parts,
        batch_size=None,
        sampler=None if isinstance(parts, IterableDataset) else _Places(step, steps, batch, rank, ranks),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=_as_it_is,
    )
    held: list[Part] = []
    missing = batch // ranks
    for part in loader:
        held.append(part)
        missing -= len(part.keys)
        if missing == 0:
            yield join(held, parts.tokenizer.pad_token_id)
            held, missing = [], batch // ranks


class _Places:
    """The places as a sampler, made as they are asked for."""

    def __init__(self, *arguments: int):
        self.arguments = arguments

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return places_of(*self.arguments)


def _as_it_is(part: Part) -> Part:
    return part


def join(held: list[Part], pad: int) -> Part:
    """Parts as one, texts padded to the longest of all."""
    longest = max(part.ids.shape[1] for part in held)
    return Part(
        torch.cat([part.images for part in held]),
        torch.cat([F.pad(part.ids, (0, longest - part.ids.shape[1]), value=pad) for part in held]),
        [key for part in held for key in part.keys],
        sum((part.broken for part in held), Counter()),
    )


def tensors(part: Part, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and token ids on a device."""
    images, ids = part.images, part.ids
    if device.type == "cuda":
        images, ids = images.pin_memory(), ids.pin_memory()
    return images.to(device, non_blocking=True), ids.to(device, non_blocking=True)
