"""Zero-shot classification: an image's class is the one whose texts are nearest (Radford et al. 2021, section 3.1).

Data sets are folders in CLIP_benchmark's webdataset layout (``classnames.txt``, tars with ``.cls``, perhaps in
``test/``, and ``zeroshot_classification_templates.txt``), or folders with a folder of images for each class.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import webdataset
from PIL import Image

from pipeline.errors import UsageError
from pipeline.tars.index import IMAGE_ENDINGS
from pipeline.train.encoder import Encoder
from pipeline.train.images import decode
from pipeline.train.loader import BROKEN
from pipeline.train.retrieval import mean_with_interval

TEMPLATES = ["a photo of a {c}."]
CHUNK = 512


@dataclass
class ClassificationDataset:
    """Names of classes, templates with ``{c}`` for a name, and the (image, class) pairs.

    An image that cannot be read is None.
    """

    classes: list[str]
    templates: list[str]
    samples: Iterator[tuple[Image.Image | None, int]]


def open_dataset(folder: Path) -> ClassificationDataset:
    """The data set in a folder. ``UsageError`` where it is in neither layout."""
    if not folder.is_dir():
        raise UsageError(f"--classification {folder}: no such folder")
    templates = _lines(folder / "zeroshot_classification_templates.txt") or TEMPLATES
    if wrong := [template for template in templates if "{c}" not in template]:
        raise UsageError(f"--classification {folder}: template {wrong[0]!r} has no {{c}} for the class")
    names = _lines(folder / "classnames.txt")
    tars = sorted([*folder.glob("test/*.tar"), *folder.glob("*.tar")])
    if names and tars:
        return ClassificationDataset(names, templates, _read_tars([str(tar) for tar in tars], len(names)))
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if not folders:
        raise UsageError(f"--classification {folder}: neither classnames.txt with tars nor a folder for each class")
    names = names or [path.name.replace("_", " ") for path in folders]
    if len(names) != len(folders):
        raise UsageError(f"--classification {folder}: {len(names)} class names and {len(folders)} folders")
    return ClassificationDataset(names, templates, _read_folders(folders))


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if line.strip()] if file.is_file() else []


def _read_tars(tars: list[str], classes: int) -> Iterator[tuple[Image.Image | None, int]]:
    for sample in webdataset.WebDataset(tars, shardshuffle=False, empty_check=False):
        image = next((sample[kind] for kind in IMAGE_ENDINGS if kind in sample), None)
        if image is None or "cls" not in sample:
            raise UsageError(f"{sample['__url__']}: {sample['__key__']} has no image or no .cls")
        number = int(sample["cls"])
        if not 0 <= number < classes:
            raise UsageError(f"{sample['__url__']}: {sample['__key__']} is of class {number}; there are {classes}")
        yield _decode_or_none(image), number


def _read_folders(folders: list[Path]) -> Iterator[tuple[Image.Image | None, int]]:
    for number, folder in enumerate(folders):
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower().lstrip(".") in IMAGE_ENDINGS:
                yield _decode_or_none(file.read_bytes()), number


def _decode_or_none(content: bytes) -> Image.Image | None:
    try:
        return decode(content)
    except BROKEN:
        return None


def class_embeddings(encoder: Encoder, classes: list[str], templates: list[str]) -> np.ndarray:
    """A unit vector for each class: the mean over its texts, one a template."""
    texts = [template.replace("{c}", name) for name in classes for template in templates]
    means = encoder.encode_texts(texts).reshape(len(classes), len(templates), -1).mean(1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def classify(encoder: Encoder, data: ClassificationDataset, advance) -> dict[str, Any]:
    """Top-1 and top-5 accuracy and the mean recall of the classes, with 95% intervals, and what chance gives."""
    vectors = class_embeddings(encoder, data.classes, data.templates)
    ranks, truth, pending, unreadable = [], [], [], 0

    def flush() -> None:
        images, numbers = zip(*pending, strict=True)
        similar = encoder.encode_images(list(images)) @ vectors.T
        own = similar[np.arange(len(numbers)), list(numbers)]
        ranks.extend((similar >= own[:, None]).sum(1) - 1)
        truth.extend(numbers)
        advance(len(pending))
        pending.clear()

    for sample in data.samples:
        if sample[0] is None:
            unreadable += 1
            continue
        pending.append(sample)
        if len(pending) == CHUNK:
            flush()
    if pending:
        flush()
    if not ranks:
        raise UsageError("--classification: the data set has no images that can be read")
    rank, number = np.array(ranks), np.array(truth)
    of_class = [float((rank[number == c] < 1).mean()) for c in np.unique(number)]
    return {
        "images": len(rank),
        "unreadable": unreadable,
        "classes": len(data.classes),
        "templates": len(data.templates),
        "top_1": mean_with_interval(rank < 1),
        "top_5": mean_with_interval(rank < 5),
        "mean_class_recall": float(np.mean(of_class)),
        "chance": 1 / len(data.classes),
    }
