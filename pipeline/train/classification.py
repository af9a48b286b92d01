"""Zero-shot classification: an image's class is the one whose texts are nearest (Radford et al. 2021, section 3.1).

Data sets are folders in CLIP_benchmark's webdataset layout (``classnames.txt``, tars with ``.cls``, perhaps in
``test/``, and ``zeroshot_classification_templates.txt``), or folders with a folder of images for each class. With a
file ``classgroups.txt``, a line a class, each group of classes has its own figures, too.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from pipeline.errors import PipelineError, UsageError
from pipeline.tars.index import IMAGE_ENDINGS
from pipeline.train.distributed import ProcessGroup
from pipeline.train.encoder import Encoder, Preprocessor, finite
from pipeline.train.given import TARS
from pipeline.train.loader import default_workers, leave_inherited, worker_errors
from pipeline.train.reading import content_of, read_images
from pipeline.train.retrieval import NAMED, mean_with_interval
from pipeline.train.shards import MOST_IMAGE, MOST_TEXT
from pipeline.train.stream import Damaged, read_samples

TEMPLATES = ["a photo of a {c}."]
CHUNK = 64


@dataclass
class ClassificationDataset:
    """Names of classes, templates with ``{c}`` for a name, and the samples: image (bytes or file), class and name."""

    classes: list[str]
    templates: list[str]
    samples: Iterable[tuple[bytes | Path, int, str]]
    groups: list[str] = field(default_factory=list)


def open_dataset(folder: Path, option: str = "--classification") -> ClassificationDataset:
    """The data set in a folder that ``option`` names. ``UsageError`` where it is in neither layout."""
    if not folder.is_dir():
        raise UsageError(f"{option} {folder}: no such folder")
    templates = _lines(folder / "zeroshot_classification_templates.txt") or TEMPLATES
    if wrong := [template for template in templates if "{c}" not in template]:
        raise UsageError(f"{option} {folder}: template {wrong[0]!r} has no {{c}} for the class")
    names, groups = _lines(folder / "classnames.txt"), _lines(folder / "classgroups.txt")
    if groups and len(groups) != len(names):
        raise UsageError(f"{option} {folder}: {len(names)} class names and {len(groups)} lines in classgroups.txt")
    tars = sorted(file for file in [*folder.glob("test/*"), *folder.glob("*")] if file.name.endswith(TARS))
    if names and tars:
        return ClassificationDataset(names, templates, TarSamples([str(tar) for tar in tars], len(names)), groups)
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if not folders:
        raise UsageError(f"{option} {folder}: neither classnames.txt with tars nor a folder for each class")
    names = names or [path.name.replace("_", " ") for path in folders]
    if len(names) != len(folders):
        raise UsageError(f"{option} {folder}: {len(names)} class names and {len(folders)} folders")
    return ClassificationDataset(names, templates, FolderSamples(folders), groups)


def dataset_names(folders: list[Path]) -> list[str]:
    """What the results of data sets are called: by their folders' names, or whole paths where two are of one name."""
    names = [Path(folder).name for folder in folders]
    return [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, folders, strict=True)]


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if line.strip()] if file.is_file() else []


@dataclass
class TarSamples:
    """Of tars in CLIP_benchmark's layout."""

    tars: list[str]
    classes: int

    def __iter__(self) -> Iterator[tuple[bytes, int, str]]:
        for tar in self.tars:
            try:
                for key, members in read_samples(tar, {"image": MOST_IMAGE, "cls": MOST_TEXT}, Counter()):
                    yield self._sample(f"{tar}: {key}", members.get("image"), members.get("cls"))
            except Damaged as error:
                yield b"", 0, f"{tar}: damaged: {error}"
            except OSError as error:
                raise PipelineError(f"classification: {' '.join(map(str, error.args))}") from None

    def _sample(self, where: str, image: bytes | None, number: bytes | None) -> tuple[bytes, int, str]:
        if image is None or number is None:
            raise UsageError(f"{where} has no image or no .cls")
        if not number.strip().isdigit() or int(number) >= self.classes:
            raise UsageError(f"{where} is of class {number[:20].decode('utf-8', 'replace')}; there are {self.classes}")
        return image, int(number), where


@dataclass
class FolderSamples:
    """Of a folder of images for each class, each of which is read where it is decoded."""

    folders: list[Path]

    def __iter__(self) -> Iterator[tuple[Path, int, str]]:
        for number, folder in enumerate(self.folders):
            for file in sorted(folder.rglob("*")):
                if file.suffix.lower().lstrip(".") in IMAGE_ENDINGS:
                    yield file, number, str(file)


@dataclass
class ChunkDataset(IterableDataset):
    """Chunks of samples as a model's input: each worker of each process reads all, and decodes its share."""

    samples: Iterable[tuple[bytes | Path, int, str]]
    inputs: Preprocessor
    rank: int
    world_size: int

    def __iter__(self) -> Iterator[tuple[torch.Tensor | None, list[int], list[str], list[str]]]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        first = self.rank * count + number
        samples = iter(self.samples)
        for turn in itertools.count():
            chunk = list(itertools.islice(samples, CHUNK))
            if not chunk:
                return
            if turn % (count * self.world_size) == first:
                contents = [content_of(found) if isinstance(found, Path) else found for found, _, _ in chunk]
                readable, pixels = read_images(contents, self.inputs)
                names = [chunk[place][2] for place in readable]
                bad = [name for place, (_, _, name) in enumerate(chunk) if place not in readable]
                yield pixels, [chunk[place][1] for place in readable], names, bad


def class_embeddings(encoder: Encoder, classes: list[str], templates: list[str]) -> np.ndarray:
    """A unit vector for each class: the mean over its texts, one a template."""
    texts = [template.replace("{c}", name) for name in classes for template in templates]
    means = encoder.encode_texts(texts).reshape(len(classes), len(templates), -1).mean(1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def classify(encoder: Encoder, data: ClassificationDataset, group: ProcessGroup, advance) -> dict[str, Any]:
    """Top-1 and top-5 accuracy and the mean recall of the classes, with 95% intervals, and what chance gives.

    Of each group of classes the mean recall over them.
    """
    shares = group.together(lambda: _rank(encoder, data, group, advance), all_results=True)
    ranks, truth, unreadable = ([value for share in shares for value in share[part]] for part in range(3))
    if not ranks:
        raise UsageError("classification: the data set has no images that can be read")
    rank, number = np.array(ranks), np.array(truth)
    of_class = {int(c): float((rank[number == c] < 1).mean()) for c in np.unique(number)}
    of_group: dict[str, list[float]] = {}
    for c, recall in of_class.items() if data.groups else ():
        of_group.setdefault(data.groups[c], []).append(recall)
    return {
        "images": len(rank),
        "unreadable": len(unreadable),
        "unreadable_samples": unreadable[:NAMED],
        "classes": len(data.classes),
        "templates": len(data.templates),
        "top_1": mean_with_interval(rank < 1),
        "top_5": mean_with_interval(rank < 5),
        "mean_class_recall": float(np.mean(list(of_class.values()))),
        "groups": {
            name: {"classes": len(recalls), "mean_class_recall": float(np.mean(recalls))}
            for name, recalls in sorted(of_group.items())
        },
        "chance": 1 / len(data.classes),
    }


def _rank(encoder: Encoder, data: ClassificationDataset, group: ProcessGroup, advance) -> tuple[list, list, list]:
    """Of a process's share of the images: the ranks of their classes, these, and those that cannot be read."""
    vectors = class_embeddings(encoder, data.classes, data.templates)
    ranks, truth, unreadable = [], [], []
    dataset = ChunkDataset(data.samples, encoder.inputs, group.rank, group.world_size)
    loader = DataLoader(
        dataset, None, num_workers=default_workers(group), collate_fn=lambda chunk: chunk,
        worker_init_fn=leave_inherited,
    )  # fmt: skip
    with worker_errors():
        for pixels, numbers, names, bad in loader:
            unreadable += bad
            if pixels is not None:
                similar = finite(encoder.encode_pixels(pixels), names) @ vectors.T
                own = similar[np.arange(len(numbers)), numbers]
                ranks.extend((similar >= own[:, None]).sum(1) - 1)
                truth.extend(numbers)
            advance(len(numbers) + len(bad))
    return ranks, truth, unreadable
