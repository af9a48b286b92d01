"""Samples for a model that is used, in order: worker processes read, decode and tokenize, so that it need not wait."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import PipelineError
from pipeline.paths import shown
from pipeline.train.distributed import ProcessGroup
from pipeline.train.encoder import Preprocessor
from pipeline.train.images import decode
from pipeline.train.loader import BROKEN, default_workers, leave_inherited, start_method, worker_errors
from pipeline.train.shards import CutShort, ShardSet

CHUNK = 128  # samples that a worker makes at a time


@dataclass
class Samples:
    """Some consecutive samples of a shard. What is of images is of those that can be read, ``readable``."""

    shard: int
    start: int  # the row of the first
    keys: list[str]
    digests: list[bytes]  # of the images' bytes, 16 bytes each
    readable: list[int]  # from 0 in this chunk
    pixels: torch.Tensor | None  # None where no image can be read
    tokens: tuple[torch.Tensor, torch.Tensor]
    languages: list[str]


class SampleDataset(Dataset):
    """Item (shard, start, end) is of these rows."""

    def __init__(self, shards: ShardSet, inputs: Preprocessor):
        self.shards, self.inputs = shards, inputs

    def __getitem__(self, rows: tuple[int, int, int]) -> Samples:
        shard, start, end = rows
        found = self.shards.samples([(shard, row) for row in range(start, end)], with_json=True)
        for sample in found:
            if sample.error is not None and not isinstance(sample.error, CutShort):
                raise PipelineError(f"--shards {shown(self.shards.tars[shard])}: {sample.key}: {sample.error}")
        readable, pixels = read_images([sample.image for sample in found], self.inputs)
        return Samples(
            shard,
            start,
            [sample.key for sample in found],
            [hashlib.sha256(sample.image).digest()[:16] for sample in found],
            readable,
            pixels,
            self.inputs.texts([sample.text for sample in found]),
            [language_of(sample.json) for sample in found],
        )

    @property
    def is_remote(self) -> bool:
        """Whether samples are read over a network."""
        return self.shards.is_remote


class FileDataset(Dataset):
    """Item is a list of image files: what ``read_images`` says of them."""

    def __init__(self, inputs: Preprocessor):
        self.inputs = inputs

    def __getitem__(self, files: Sequence[Path]) -> tuple[list[int], torch.Tensor | None]:
        return read_images([content_of(file) for file in files], self.inputs)


def content_of(file: Path) -> bytes:
    """The content of a file, or none where there is none: not an image either."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def read_images(contents: list[bytes], inputs: Preprocessor) -> tuple[list[int], torch.Tensor | None]:
    """Which of some image files can be read, and those as input."""
    readable, images = [], []
    for number, content in enumerate(contents):
        try:
            images.append(decode(content))
            readable.append(number)
        except BROKEN:
            continue
    return readable, inputs.images(images) if images else None


def in_workers(dataset: Dataset, items: list[Any], group: ProcessGroup, workers: int | None = None) -> Iterator[Any]:
    """The items of a data set, made by worker processes, in order. ``workers``: a core each by default."""
    count = default_workers(group) if workers is None else workers
    count = min(count, len(items))  # Workers take longer to start than few items take.
    # Lists are pickled as they are; a DataLoader would make tensors of them.
    count = count if len(items) > 1 else 0
    method = start_method(getattr(dataset, "is_remote", False), count)
    with worker_errors():
        yield from DataLoader(
            dataset, None, sampler=items, num_workers=count, collate_fn=_as_is, multiprocessing_context=method,
            worker_init_fn=leave_inherited,
        )  # fmt: skip


def chunks_of(shard: int, count: int) -> list[tuple[int, int, int]]:
    """The items of ``SampleDataset`` for a whole shard."""
    return [(shard, start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def language_of(content: bytes | None) -> str:
    """The language that a sample's JSON names, or an empty text."""
    try:
        return str(json.loads(content or b"{}").get("language") or "")
    except (ValueError, AttributeError):
        return ""


def _as_is(item: Any) -> Any:
    return item
