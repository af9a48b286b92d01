"""Tars that cannot be read in any order, compressed or at the other end of a pipe: streamed through ``webdataset``.

Shards are drawn at random without end and samples shuffled in a buffer. What is promised of tars on disk is not of
these: a run that resumes goes on with other samples, and the number of workers and processes matters.
"""

import tarfile
from collections.abc import Iterator

import numpy as np
import torch
import webdataset
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.errors import PipelineError, UsageError
from pipeline.tars.index import IMAGE_ENDINGS
from pipeline.train.images import CROP_DRAWS, decode, draft_side, train_transform
from pipeline.train.loader import BROKEN, CHUNK, CROP, Batch
from pipeline.train.recipe import TrainRecipe
from pipeline.train.sampler import uniforms
from pipeline.train.shards import COMPRESSED, find_tars
from pipeline.train.tokenizer import tokenize

BUFFER, MOST_UNUSABLE = 1000, 10_000


def is_stream(path: str) -> bool:
    """Whether a path of ``data.shards`` can only be streamed."""
    return path.startswith(("pipe:", "http://", "https://")) or path.endswith(COMPRESSED)


class ShardStream:
    """The samples of some shards, without end."""

    def __init__(self, paths: list[str]):
        """``paths``: URLs, ``pipe:`` commands, compressed or plain tars, folders of tars."""
        self.tars = [tar for path in paths for tar in ([path] if is_stream(path) else find_tars(path))]

    def samples(self, *seed: int, share: tuple[int, int] = (0, 1)) -> Iterator[tuple[str, bytes, str]]:
        """Key, image and text of random samples, of the shards of a ``share``: its number, and how many there are."""
        number, count = share
        unusable = 0
        mixed = int(np.random.default_rng(seed).integers(2**31))
        shards = webdataset.ResampledShards(
            self.tars[number::count], seed=mixed, deterministic=True, worker_seed=lambda: 0
        )
        try:
            for sample in webdataset.DataPipeline(
                shards, webdataset.tarfile_to_samples(), webdataset.shuffle(BUFFER, rng=np.random.RandomState(mixed))
            ):
                image = next((sample[kind] for kind in IMAGE_ENDINGS if kind in sample), None)
                if image is None or "txt" not in sample:
                    unusable += 1
                    if unusable == MOST_UNUSABLE:
                        where = f"{sample['__url__']}: {sample['__key__']}"
                        raise PipelineError(
                            f"data.shards: {where}: no image or no .txt, as the {unusable:,} samples before"
                        )
                else:
                    unusable = 0
                    yield sample["__key__"], image, sample["txt"].decode("utf-8", "replace")
        except (OSError, ValueError, EOFError, tarfile.TarError) as error:
            raise PipelineError(f"data.shards: {' '.join(map(str, error.args))}") from None

    def texts(self, most: int) -> Iterator[str]:
        """``most`` texts, or as many as there are in the first tenth of a million."""
        for number, (_, _, text) in enumerate(self.samples(0)):
            if number == min(most, 100_000):
                return
            yield text


class StreamDataset(IterableDataset):
    """Chunks of a process's batches, one after the other, each worker from its own stream."""

    def __init__(self, stream: ShardStream, recipe: TrainRecipe, tokenizer, step: int, rank: int, world_size: int):
        """``step``: where the run stands; it makes the stream another one after a resume."""
        self.stream, self.recipe, self.tokenizer, self.start = stream, recipe, tokenizer, (recipe.seed, step, rank)
        if len(stream.tars) < world_size:
            raise UsageError(
                f"data.shards: {len(stream.tars)} to stream for {world_size} processes, each of which needs its own"
            )
        self.local, self.rank, self.world_size = recipe.batch // world_size, rank, world_size
        self.size = next(size for size in range(min(CHUNK, self.local), 0, -1) if self.local % size == 0)
        self.most_workers = len(stream.tars) // world_size

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        seed = (*self.start, number)
        side, crop = self.recipe.model.image_size, self.recipe.data.crop
        images, keys, texts, broken = [], [], [], []
        position = int(np.random.default_rng(seed).integers(2**62))
        # No other process and worker has these shards. Chunks go into batches in turn, one of each worker.
        chunks, chunk, held, skipped = self.local // self.size, number, set(), 0
        share = (self.rank * count + number, self.world_size * count)
        for key, content, text in self.stream.samples(*seed, share=share):
            position += 1
            draws = uniforms(self.recipe.seed, CROP, np.array([position]), CROP_DRAWS)[0]
            try:
                image = None
                if key not in held:
                    image = decode(content, draft_side(side, crop) if self.recipe.data.draft else None)
                    image = train_transform(image, side, crop, draws)
            except BROKEN as error:
                broken.append(("stream", key, f"{type(error).__name__}: {error}"))
            if image is None:
                skipped += 1
                if skipped > MOST_UNUSABLE:
                    raise PipelineError(
                        f"data.shards: {skipped:,} samples on end cannot be read or are in the batch already; too few "
                        f"to stream for a batch of {self.recipe.batch:,}"
                    )
                continue
            skipped = 0
            held.add(key)
            images.append(image)
            keys.append(key)
            texts.append(text)
            if len(keys) == self.size:
                stacked = torch.from_numpy(np.stack(images))
                yield Batch(stacked, torch.from_numpy(tokenize(self.tokenizer, texts)), keys, broken)
                images, keys, texts, broken = [], [], [], []
                if chunk // chunks != (chunk := chunk + count) // chunks:
                    held = set()
