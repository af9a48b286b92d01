"""One text of each image, and how many there are: over the numbers of images and pairs."""

import numpy as np

from pipeline.buckets.hashing import hashed, hashes

HALVES = (21, 22)  # seeds of the two halves of an image's number


def image_numbers(image_ids) -> tuple[np.ndarray, np.ndarray]:
    """128 bits for each image_id, as two int64."""
    return tuple(hashes(image_ids, seed) for seed in HALVES)


def smallest_of_image(high: np.ndarray, low: np.ndarray, ids: np.ndarray, seed: int) -> np.ndarray:
    """The pair_id of one text an image: that of smallest ``hashed(id, seed + 1)``, unsigned, ties by pair_id.

    MetaCLIP 2's random choice of one text an image, the same on every run.
    """
    order = np.lexsort((ids, hashed(ids, seed + 1), low, high))
    return ids[order][_new(high[order], low[order])]


def texts_of_image(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """For each row how many rows its image has."""
    order = np.lexsort((low, high))
    new = _new(high[order], low[order])
    starts = np.flatnonzero(new)
    found = np.empty(len(order), np.int64)
    found[order] = np.diff(np.append(starts, len(order)))[np.cumsum(new) - 1]
    return found


def _new(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Whether a row, of rows in order, is the first of its image."""
    return np.concatenate([[True], (np.diff(high) != 0) | (np.diff(low) != 0)])[: len(high)]
