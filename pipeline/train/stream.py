"""Tars that are read from their start to their end: compressed, printed by a command, or where that is asked for.

Shards come in a random order, pass after pass, and samples are shuffled in a buffer. What is promised of tars that are
read in any order is not of these: a run that resumes goes on with other samples, and the number of workers and
processes matters.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
import webdataset
from torch.utils.data import IterableDataset, get_worker_info

from pipeline.errors import PipelineError, UsageError
from pipeline.paths import is_url, shown
from pipeline.tars.index import DAMAGE, IMAGE_ENDINGS, files_of, key_and_ending
from pipeline.tars.window import StreamWindow
from pipeline.train.files import Stream
from pipeline.train.given import check_distinct, find_tars
from pipeline.train.images import CROP_DRAWS, decode, draft_side, train_transform
from pipeline.train.indexes import listed
from pipeline.train.loader import BROKEN, CHUNK, CROP, Batch
from pipeline.train.recipe import TrainRecipe
from pipeline.train.retries import NotGiven
from pipeline.train.sampler import uniforms
from pipeline.train.shards import MOST_IMAGE, MOST_TEXT
from pipeline.train.tokenizer import tokenize

BUFFER, MOST_UNUSABLE = 1000, 10_000


class Streamed(NamedTuple):
    """A sample of a stream, or, without a key, what is wrong with its tar."""

    tar: str
    key: str
    image: bytes = b""
    text: str = ""
    damage: str | None = None


class Damaged(Exception):
    """What is wrong with a tar, whose samples before that were given."""


class ShardStream:
    """The samples of some shards, without end."""

    def __init__(self, paths: list[str]):
        """``paths``: tars of any kind, as ``find_tars`` takes them."""
        self.tars = [tar for path in paths for tar in find_tars(path)]
        check_distinct(self.tars)

    @property
    def is_remote(self) -> bool:
        """Whether a tar is read over a network."""
        return any(map(is_url, self.tars))

    def samples(self, *seed: int, share: tuple[int, int] = (0, 1)) -> Iterator[Streamed]:
        """Random samples of the shards of a ``share``: its number, and how many there are."""
        number, count = share
        mixed = int(np.random.default_rng(seed).integers(2**31))
        in_order = _in_passes(self.tars[number::count], mixed)
        yield from webdataset.shuffle(BUFFER, rng=np.random.RandomState(mixed))(in_order)

    def texts(self, most: int) -> Iterator[str]:
        """``most`` texts, or as many as there are in the first tenth of a million."""
        samples = (found for found in self.samples(0) if found.damage is None)
        for found in islice(samples, min(most, 100_000)):
            yield found.text


def _in_passes(tars: list[str], seed: int) -> Iterator[Streamed]:
    """The samples of some shards again and again, each time in another order of the shards."""
    rng, unusable, endings = np.random.default_rng(seed), 0, Counter()
    while True:
        usable = 0
        for place in rng.permutation(len(tars)):
            for found in _samples_in(tars[place], endings):
                if found is None:
                    unusable += 1
                    if unusable == MOST_UNUSABLE:
                        raise _without_samples(tars[place], endings)
                    continue
                if found.damage is None:
                    usable, unusable = usable + 1, 0
                    endings.clear()
                yield found
        if not usable:
            raise _without_samples(tars[place], endings)


def _samples_in(tar: str, endings: Counter) -> Iterator[Streamed | None]:
    """The samples of a tar; None for one without image or ``.txt``. A tar that is damaged ends with what is wrong."""
    try:
        for key, members in read_samples(tar, {"image": MOST_IMAGE, "txt": MOST_TEXT}, endings):
            image, text = members.get("image"), members.get("txt")
            unusable = image is None or text is None
            yield None if unusable else Streamed(shown(tar), key, image, text.decode("utf-8", "replace"))
    except Damaged as error:
        yield Streamed(shown(tar), "", damage=f"damaged: {error}")


def read_samples(tar: str, most: dict[str, int], endings: Counter) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """The samples of a tar in order: the key, and the content by ending, with images as ``image``.

    ``most``: which are read, and how many bytes they may have; others are None. ``endings`` counts what was found.
    Raises ``PipelineError`` for a tar that is not there, and ``Damaged`` after the whole samples of a damaged one.
    """
    window, key, damage = StreamWindow(lambda: Stream(tar)), "", None
    members: dict[str, bytes | None] = {}
    try:
        for name, offset, size in files_of(window, Counter()):
            its, ending = key_and_ending(name)
            if its != key and members:
                yield key, members
                members = {}
            key = its
            endings[f".{ending}"] += 1
            kind = "image" if ending in IMAGE_ENDINGS else ending
            if kind not in members:
                members[kind] = window.read_at(size, offset) if size <= most.get(kind, 0) else None
        if not window.end:
            raise EOFError("an empty file")
    except DAMAGE as error:
        if isinstance(error, NotGiven | FileNotFoundError | PermissionError):
            raise PipelineError(f"data.shards: {error if is_url(tar) else f'{shown(tar)}: {_said(error)}'}") from None
        damage = error
    finally:
        window.close()
    if members:
        yield key, members
    if damage is not None:
        raise Damaged(_said(damage))


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or " ".join(str(error).split())


def _without_samples(tar: str, endings: Counter) -> PipelineError:
    return PipelineError(
        f"data.shards: {shown(tar)}: no sample with an image and a text (.txt) in all that was read; "
        f"found {listed(endings)}"
    )


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

    @property
    def is_remote(self) -> bool:
        """Whether samples are read over a network."""
        return self.stream.is_remote

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
        for tar, key, content, text, damage in self.stream.samples(*seed, share=share):
            if damage is not None:
                broken.append((tar, key, damage))
                continue
            position += 1
            draws = uniforms(self.recipe.seed, CROP, np.array([position]), CROP_DRAWS)[0]
            try:
                image = None
                if (tar, key) not in held:
                    image = decode(content, draft_side(side, crop) if self.recipe.data.draft else None)
                    image = train_transform(image, side, crop, draws)
            except BROKEN as error:
                broken.append((tar, key, f"{type(error).__name__}: {error}"))
            if image is None:
                skipped += 1
                if skipped > MOST_UNUSABLE:
                    raise PipelineError(
                        f"data.shards: {skipped:,} samples on end cannot be read or are in the batch already; too few "
                        f"to stream for a batch of {self.recipe.batch:,}"
                    )
                continue
            skipped = 0
            held.add((tar, key))
            images.append(image)
            keys.append(key)
            texts.append(text)
            if len(keys) == self.size:
                stacked = torch.from_numpy(np.stack(images))
                yield Batch(stacked, torch.from_numpy(tokenize(self.tokenizer, texts)), keys, broken)
                images, keys, texts, broken = [], [], [], []
                if chunk // chunks != (chunk := chunk + count) // chunks:
                    held = set()
