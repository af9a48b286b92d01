"""What new texts change in the buckets of bands that they come into.

A bucket of few texts compares all of them with each other, so that what it found among the old ones holds. One of more
than ``LARGE_BUCKET`` compares each with the smallest alone: where new texts make it so large, or one of them is the
smallest, old texts are no longer compared that were.
"""

import numpy as np

from pipeline.buckets.keys import among
from pipeline.dedupe.bands import LARGE_BUCKET


def of_hashes(hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Whether each hash is one of those wanted."""
    return among(hashes, np.unique(wanted))


def beside(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The rows of both."""
    return [np.concatenate(pair) for pair in zip(first, second, strict=True)]


def loses(old: tuple[np.ndarray, ...], new: tuple[np.ndarray, ...], large: int = LARGE_BUCKET) -> np.ndarray:
    """The hashes of the buckets in which old texts are no longer compared; rows are (hash, id, digest)."""
    hashes, size, smallest = _buckets(*old)
    all_hashes, all_size, all_smallest = _buckets(*beside(old, new))
    place = np.searchsorted(all_hashes, hashes)
    grown, first = all_size[place], all_smallest[place]
    return hashes[(size > 1) & (grown > large) & ((size <= large) | (first != smallest))]


def _buckets(hashes: np.ndarray, ids: np.ndarray, digest: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The hashes, the number of distinct texts of each, and the digest of the text with the smallest id."""
    order = np.lexsort((ids, digest, hashes))
    hashes, ids, digest = hashes[order], ids[order], digest[order]
    head = np.concatenate([[True], (np.diff(hashes) != 0) | (np.diff(digest) != 0)])[: len(order)]
    hashes, ids, digest = hashes[head], ids[head], digest[head]
    order = np.lexsort((ids, hashes))
    hashes, digest = hashes[order], digest[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(hashes) != 0])[: len(hashes)])
    return hashes[starts], np.diff(np.append(starts, len(hashes))), digest[starts]
