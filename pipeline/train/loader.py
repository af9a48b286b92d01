"""Batches: worker processes read, decode and crop samples and encode their texts, in chunks of a batch.

A chunk's content depends on the seed and its positions in the stream alone, so the number of workers and of processes
changes nothing. A broken sample is counted and another takes its slot.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from pipeline.errors import PipelineError
from pipeline.paths import shown
from pipeline.train.cores import usable_cores
from pipeline.train.distributed import ProcessGroup
from pipeline.train.images import CROP_DRAWS, decode, draft_side, train_transform
from pipeline.train.sampler import Sampler, WindowStart, uniforms
from pipeline.train.shards import Sample, ShardSet
from pipeline.train.stopping import ignore_signals
from pipeline.train.tokenizer import tokenize

CHUNK = 128  # samples that a worker makes at a time
CROP, KEEP = 1001, 1002  # what random numbers are for
ATTEMPTS = 100
BROKEN = (OSError, ValueError, SyntaxError, EOFError, MemoryError)


@dataclass
class Batch:
    """Some consecutive samples, collated: a chunk of a batch, or all of it."""

    images: torch.Tensor  # uint8, n x 3 x h x w
    ids: torch.Tensor  # int32, n x tokens, padded
    keys: list[str]
    broken: list[tuple[str, str, str]]  # tar, key and what was wrong
    mark: WindowStart | None = None  # the sampler's, of the first sample


class ShardDataset(Dataset):
    """Chunks of batches: item (start, end) has the samples at these positions of the stream."""

    def __init__(
        self,
        shards: ShardSet,
        sampler: Sampler,
        tokenizer,
        size: int,
        crop: tuple[float, float],
        draft: bool,
    ):
        """What samples are read, in what order, and how images and texts are made input."""
        self.shards, self.sampler, self.tokenizer = shards, sampler, tokenizer
        self.size, self.crop, self.draft = size, crop, draft
        # A batch may lie in two windows.
        shards.most_rows = max(shards.most_rows, 2 * sampler.window_size)

    def __getitem__(self, positions: tuple[int, int]) -> Batch:
        start, end = positions
        draws = uniforms(self.sampler.seed, CROP, np.arange(start, end), CROP_DRAWS)
        images = np.empty((end - start, 3, self.size, self.size), np.uint8)
        keys, texts, broken = [], [], []
        places = self.sampler.samples(start, end).tolist()
        for slot, ((shard, _), sample) in enumerate(zip(places, self.shards.samples(places), strict=True)):
            key, image, text = self._load(shard, sample, start + slot, draws[slot], broken)
            images[slot] = image
            keys.append(key)
            texts.append(text)
        # Tensors come from a worker in shared memory.
        ids = torch.from_numpy(tokenize(self.tokenizer, texts))
        return Batch(torch.from_numpy(images), ids, keys, broken, self.sampler.window_start(start))

    def _load(
        self, shard: int, sample: Sample, position: int, draws: np.ndarray, broken: list
    ) -> tuple[str, np.ndarray, str]:
        """Key, input and text of a sample, or of the first that may take its slot and can be read."""
        others = islice(self.sampler.replacements(position), ATTEMPTS)
        while True:
            try:
                if sample.error is not None:
                    raise sample.error
                image = decode(sample.image, draft_side(self.size, self.crop) if self.draft else None)
                return sample.key, train_transform(image, self.size, self.crop, draws), sample.text
            except BROKEN as error:
                tar = shown(self.shards.tars[shard])
                broken.append((tar, sample.key, f"{type(error).__name__}: {error}"))
            if (other := next(others, None)) is None:
                raise PipelineError(
                    f"data.shards: {tar}: {sample.key} cannot be read, nor any that may take "
                    f"its slot; a batch of {self.sampler.batch:,} needs more samples that can"
                )
            shard, row = other.tolist()
            sample = self.shards.samples([(shard, row)])[0]

    @property
    def is_remote(self) -> bool:
        """Whether samples are read over a network."""
        return self.shards.is_remote


class KeepByProbability:
    """For online balancing: which samples of a shard an epoch has, each with its ``keep_probability``.

    Every epoch draws anew (MetaCLIP, table 6). The shard's numbers are read at each call and not kept.
    """

    def __init__(self, shards: ShardSet, seed: int):
        self.shards, self.seed = shards, seed

    def __call__(self, epoch: int, shard: int) -> np.ndarray:
        """A mask of the shard's samples."""
        positions = (np.int64(epoch) << 44) + (np.int64(shard) << 24) + np.arange(self.shards.counts[shard])
        return uniforms(self.seed, KEEP, positions, 1)[:, 0] < self.shards.probabilities(shard)


def chunk_ranges(step: int, steps: int, batch: int, rank: int, world_size: int) -> Iterator[tuple[int, int]]:
    """The positions (start, end) of the chunks that a process needs from a step on, in order."""
    local = batch // world_size
    for current in range(step, steps):
        first = current * batch + rank * local
        for start in range(first, first + local, CHUNK):
            yield start, min(start + CHUNK, first + local)


def batches(
    dataset: Dataset,
    step: int,
    steps: int,
    batch: int,
    rank: int,
    world_size: int,
    workers: int,
    pinned: bool = False,
) -> Iterator[Batch]:
    """The process's share of each batch from a step on, its texts padded to the longest; in pinned memory for a GPU."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=None if isinstance(dataset, IterableDataset) else ChunkSampler(step, steps, batch, rank, world_size),
        num_workers=min(workers, getattr(dataset, "most_workers", workers)),
        prefetch_factor=4 if workers else None,
        collate_fn=_no_collate,
        worker_init_fn=_start_worker,
        multiprocessing_context=start_method(dataset.is_remote, workers),
        generator=torch.Generator(),  # Torch's own is the step's.
    )
    chunks: list[Batch] = []
    missing = batch // world_size
    with worker_errors():
        for chunk in loader:
            chunks.append(chunk)
            missing -= len(chunk.keys)
            if missing == 0:
                yield collate(chunks, dataset.tokenizer.pad_token_id, pinned)
                chunks, missing = [], batch // world_size


def start_method(is_remote: bool, workers: int) -> str | None:
    """How workers start: by a fork, but where their parent may have threads of a store's library, which end in one."""
    return "spawn" if is_remote and workers else None


@contextmanager
def worker_errors() -> Iterator[None]:
    """Makes what ``DataLoader`` says of a worker's error, with its traceback, the error itself."""
    try:
        yield
    except (PipelineError, OSError) as error:
        said = str(error).strip().splitlines()
        if said and said[0].startswith("Caught "):
            kind = type(error) if isinstance(error, PipelineError) else PipelineError
            raise kind(said[-1].partition(": ")[2]) from None
        raise
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise PipelineError(f"{str(error).splitlines()[0]}; killed, perhaps for its memory: data.workers") from None
        raise


def default_workers(group: ProcessGroup) -> int:
    """A process's workers where nothing says how many: its share of the machine's cores."""
    return max(1, usable_cores() // group.local_world_size)


class ChunkSampler:
    """``chunk_ranges`` as what ``DataLoader`` takes for a sampler."""

    def __init__(self, *arguments: int):
        self.arguments = arguments

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return chunk_ranges(*self.arguments)


def leave_inherited(_worker: int) -> None:
    """Makes a worker's garbage collector leave alone what the fork brought along.

    That belongs to threads of the main process, which are not here: to finalise it may abort the worker.
    """
    gc.freeze()


def _start_worker(worker: int) -> None:
    ignore_signals(worker)
    leave_inherited(worker)


def _no_collate(chunk: Batch) -> Batch:
    return chunk


def collate(chunks: list[Batch], pad: int, pinned: bool = False) -> Batch:
    """Chunks as one batch, texts padded to the longest of all."""
    count, longest = sum(len(chunk.keys) for chunk in chunks), max(chunk.ids.shape[1] for chunk in chunks)
    images = torch.empty((count, *chunks[0].images.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
    ids = torch.full((count, longest), pad, dtype=torch.int32, pin_memory=pinned)
    start = 0
    for chunk in chunks:
        end = start + len(chunk.keys)
        images[start:end] = chunk.images
        ids[start:end, : chunk.ids.shape[1]] = chunk.ids
        start = end
    return Batch(
        images,
        ids,
        [key for chunk in chunks for key in chunk.keys],
        [sample for chunk in chunks for sample in chunk.broken],
        chunks[0].mark,
    )
