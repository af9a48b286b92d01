"""Image-text retrieval over a shard set: how often the right one is among the nearest, both ways."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.train.encoder import Encoder
from pipeline.train.loader import BROKEN
from pipeline.train.pictures import decode
from pipeline.train.shards import ShardSet

AT = (1, 5, 10)
CHUNK = 1024
RESAMPLES = 1000


@dataclass
class Pairs:
    """Vectors of the distinct pictures and of all texts, with the picture and the language of each text.

    ``unreadable``: samples that were left out, as their picture cannot be read.
    """

    pictures: np.ndarray
    texts: np.ndarray
    picture_of: np.ndarray
    languages: np.ndarray
    unreadable: int = 0


def embed_pairs(encoder: Encoder, shards: ShardSet, show) -> Pairs:
    """The vectors of a shard set; pictures of equal bytes are one. ``show(done)`` is told of samples done."""
    numbers: dict[bytes, int | None] = {}  # of the pictures by their digests; None of one that cannot be read
    vectors, texts, picture_of, languages = [], [], [], []
    found = unreadable = 0
    for shard, count in enumerate(shards.counts):
        for start in range(0, count, CHUNK):
            fresh = []
            for row in range(start, min(count, start + CHUNK)):
                _, content, text = shards.sample(shard, row)
                digest = hashlib.sha256(content).digest()
                if digest not in numbers:
                    try:
                        fresh.append(decode(content))
                        numbers[digest], found = found, found + 1
                    except BROKEN:
                        numbers[digest] = None
                if numbers[digest] is None:
                    unreadable += 1
                    continue
                texts.append(text)
                picture_of.append(numbers[digest])
                languages.append(language_of(shards.json(shard, row)))
            if fresh:
                vectors.append(encoder.pictures(fresh))
            show(min(CHUNK, count - start))
    if not found:
        raise UsageError("--shards: no picture can be read")
    return Pairs(np.concatenate(vectors), encoder.texts(texts), np.array(picture_of), np.array(languages), unreadable)


def language_of(content: bytes | None) -> str:
    """The language that a sample's JSON names, or an empty text."""
    try:
        return str(json.loads(content or b"{}").get("language") or "")
    except (ValueError, AttributeError):
        return ""


def text_ranks(pairs: Pairs) -> np.ndarray:
    """For each text the rank of its picture among all, from 0. Equal similarities count against it."""
    ranks = []
    for start in range(0, len(pairs.texts), CHUNK):
        similar = pairs.texts[start : start + CHUNK] @ pairs.pictures.T
        own = similar[np.arange(len(similar)), pairs.picture_of[start : start + CHUNK]]
        ranks.append((similar >= own[:, None]).sum(1) - 1)
    return np.concatenate(ranks)


def picture_ranks(pairs: Pairs) -> np.ndarray:
    """For each picture the rank of its best text among those of other pictures, from 0."""
    ranks = []
    for start in range(0, len(pairs.pictures), CHUNK):
        similar = pairs.pictures[start : start + CHUNK] @ pairs.texts.T
        own = pairs.picture_of[None, :] == np.arange(start, start + len(similar))[:, None]
        best = np.where(own, similar, -np.inf).max(1)
        ranks.append(((similar >= best[:, None]) & ~own).sum(1))
    return np.concatenate(ranks)


def retrieval(pairs: Pairs) -> dict[str, Any]:
    """Recalls at 1, 5 and 10 both ways with their 95% intervals, what chance gives, and the same for each language.

    Chance at 1: one over the pictures for texts; a picture's share of all texts, in the mean, for pictures.
    """
    found = {"all": _direction(pairs) | {"unreadable": pairs.unreadable}}
    for language in sorted(set(pairs.languages.tolist()) - {""}):
        chosen = pairs.languages == language
        numbers, places = np.unique(pairs.picture_of[chosen], return_inverse=True)
        found[language] = _direction(
            Pairs(pairs.pictures[numbers], pairs.texts[chosen], places, pairs.languages[chosen])
        )
    return found


def _direction(pairs: Pairs) -> dict[str, Any]:
    of_each = np.bincount(pairs.picture_of, minlength=len(pairs.pictures))
    return {
        "pictures": len(pairs.pictures),
        "texts": len(pairs.texts),
        "text_to_image": recalls(text_ranks(pairs)) | {"chance": 1 / len(pairs.pictures)},
        "image_to_text": recalls(picture_ranks(pairs)) | {"chance": float(of_each.mean() / len(pairs.texts))},
    }


def recalls(ranks: np.ndarray) -> dict[str, Any]:
    """Shares of ranks below 1, 5 and 10, each with a bootstrap interval."""
    return {f"recall@{k}": share(ranks < k) for k in AT}


def share(hits: np.ndarray) -> dict[str, float]:
    """The mean of hits and its 95% interval, by drawing them anew ``RESAMPLES`` times."""
    rng = np.random.default_rng(0)
    means = rng.binomial(len(hits), hits.mean(), RESAMPLES) / len(hits)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"value": float(hits.mean()), "low": float(low), "high": float(high)}
