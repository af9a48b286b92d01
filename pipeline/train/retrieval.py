"""Image-text retrieval over a shard set: how often the right one is among the nearest, both ways."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.paths import shown
from pipeline.train.embedding import ShardVectors
from pipeline.train.shards import ShardSet

RECALL_AT = (1, 5, 10)
NAMED = 1000  # samples that are left out
CHUNK = 1024
RESAMPLES = 1000


@dataclass
class Pairs:
    """Vectors of the distinct images and of all texts, with the image and the language of each text.

    ``unreadable``: samples that were left out, as their image cannot be read, each by tar and key.
    """

    images: np.ndarray
    texts: np.ndarray
    image_of: np.ndarray
    languages: np.ndarray
    unreadable: list[str] = field(default_factory=list)


def pairs_of(embedded: Iterable[ShardVectors], shards: ShardSet) -> Pairs:
    """The pairs of the vectors of a shard set; images of equal bytes are one."""
    numbers: dict[bytes, int] = {}
    vectors, texts, image_of, languages, unreadable = [], [], [], [], []
    for found in embedded:
        digests = [digest.tobytes() for digest in found.digests]
        for row, vector in zip(found.rows, found.images, strict=True):
            if digests[row] not in numbers:
                numbers[digests[row]] = len(numbers)
                vectors.append(vector)
        texts.append(found.texts[found.readable])
        image_of.extend(numbers[digests[row]] for row in np.flatnonzero(found.readable))
        languages.append(found.languages[found.readable])
        unreadable += [f"{shown(shards.tars[found.shard])}: {key}" for key in found.keys[~found.readable]]
    if not vectors:
        raise UsageError(f"{shards.tars[0]}: no image can be read, here or in a tar beside it")
    return Pairs(np.stack(vectors), np.concatenate(texts), np.array(image_of), np.concatenate(languages), unreadable)


def text_ranks(pairs: Pairs) -> np.ndarray:
    """For each text the rank of its image among all, from 0. Equal similarities count against it."""
    ranks = []
    for start in range(0, len(pairs.texts), CHUNK):
        similar = pairs.texts[start : start + CHUNK] @ pairs.images.T
        own = similar[np.arange(len(similar)), pairs.image_of[start : start + CHUNK]]
        ranks.append((similar >= own[:, None]).sum(1) - 1)
    return np.concatenate(ranks)


def image_ranks(pairs: Pairs) -> np.ndarray:
    """For each image the rank of its best text among those of other images, from 0."""
    ranks = []
    for start in range(0, len(pairs.images), CHUNK):
        similar = pairs.images[start : start + CHUNK] @ pairs.texts.T
        own = pairs.image_of[None, :] == np.arange(start, start + len(similar))[:, None]
        best = np.where(own, similar, -np.inf).max(1)
        ranks.append(((similar >= best[:, None]) & ~own).sum(1))
    return np.concatenate(ranks)


def retrieval(pairs: Pairs) -> dict[str, Any]:
    """Recalls at 1, 5 and 10 both ways with their 95% intervals, what chance gives, and the same for each language.

    Chance at 1: one over the images for texts; an image's share of all texts, in the mean, for images.
    """
    found = {
        "all": _both_ways(pairs) | {"unreadable": len(pairs.unreadable), "unreadable_samples": pairs.unreadable[:NAMED]}
    }
    for language in sorted(set(pairs.languages.tolist()) - {""}):
        chosen = pairs.languages == language
        numbers, image_of = np.unique(pairs.image_of[chosen], return_inverse=True)
        found[language] = _both_ways(
            Pairs(pairs.images[numbers], pairs.texts[chosen], image_of, pairs.languages[chosen])
        )
    return found


def _both_ways(pairs: Pairs) -> dict[str, Any]:
    of_each = np.bincount(pairs.image_of, minlength=len(pairs.images))
    return {
        "images": len(pairs.images),
        "texts": len(pairs.texts),
        "text_to_image": recalls(text_ranks(pairs)) | {"chance": 1 / len(pairs.images)},
        "image_to_text": recalls(image_ranks(pairs)) | {"chance": float(of_each.mean() / len(pairs.texts))},
    }


def recalls(ranks: np.ndarray) -> dict[str, Any]:
    """Shares of ranks below 1, 5 and 10, each with a bootstrap interval."""
    return {f"recall@{k}": mean_with_interval(ranks < k) for k in RECALL_AT}


def mean_with_interval(hits: np.ndarray) -> dict[str, float]:
    """The mean of hits and its 95% interval, by drawing them anew ``RESAMPLES`` times."""
    rng = np.random.default_rng(0)
    means = rng.binomial(len(hits), hits.mean(), RESAMPLES) / len(hits)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"value": float(hits.mean()), "low": float(low), "high": float(high)}
