"""The rank of a pair in the order of sample keys, from the sizes of fine buckets of pair_ids.

A key is the pair_id as an unsigned number: zero and up come first, then the negative ones. Key order is a shuffle of
the pool, as a pair_id is a hash.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.buckets.keys import bucket_of, first_id

FINE_ROWS = 512


def fine_buckets(rows: int) -> int:
    """A power of two, at least 2, with about ``FINE_ROWS`` rows a bucket."""
    return 1 << max(1, (rows // FINE_ROWS).bit_length())


def place_in_order(ids: np.ndarray, fine: int) -> np.ndarray:
    """The fine bucket of each pair_id, numbered in key order."""
    return (bucket_of(ids, fine) + fine // 2) % fine


@dataclass(frozen=True)
class Slice:
    """Pairs in key order: of those with ids in the ranges [first, end), ``rows`` after the first ``skip``."""

    number: int
    ranges: tuple[tuple[int, int], ...]
    skip: int
    rows: int


def slices(sizes: np.ndarray, samples: int) -> list[Slice]:
    """The slices of ``samples`` pairs, the last of what is left; ``sizes``: of the fine buckets, in key order."""
    ends, fine = np.cumsum(sizes), len(sizes)
    total = int(ends[-1])
    found = []
    for number, start in enumerate(range(0, total, samples)):
        end = min(total, start + samples)
        low, high = (int(np.searchsorted(ends, rank, side="right")) for rank in (start, end - 1))
        cuts = sorted({low, high + 1, *([fine // 2] if low < fine // 2 <= high else [])})
        ranges = tuple(_ids(a, b, fine) for a, b in pairwise(cuts))
        found.append(Slice(number, ranges, start - int(ends[low] - sizes[low]), end - start))
    return found


def _ids(low: int, end: int, fine: int) -> tuple[int, int]:
    """The pair_ids of the fine buckets [low, end) in key order, all on one side of zero."""
    first = first_id((low + fine // 2) % fine, fine)
    return first, first_id((end - 1 + fine // 2) % fine + 1, fine)
