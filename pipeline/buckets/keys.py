"""Which bucket a pair is in. A pair_id is a hash, so equal ranges of it, in order, are buckets of about equal size.

Bucket i of n holds the ids from ``first_id(i, n)`` to before ``first_id(i + 1, n)``, in signed order. So the files of a
table, one after the other, are in the order of pair_id, whatever their number; and a range of one table lies in a few
neighbouring files of another.
"""

import numpy as np

# Small pools have sixteen buckets, so that cores have work, larger ones buckets of a good size for a store.
FEW, LEAST_ROWS, MOST_ROWS, MOST_BYTES = 16, 1 << 15, 1 << 20, 1 << 28
PART_ROWS = 1 << 17
_SIGN = np.uint64(1 << 63)
_HALF, _LOW = np.uint64(32), np.uint64((1 << 32) - 1)


def bucket_count(rows: int, size: int) -> int:
    """The buckets for a pool of about so many rows and bytes: a function of the data alone."""
    wanted = min(MOST_ROWS, max(LEAST_ROWS, -(-rows // FEW)))
    return max(1, -(-rows // wanted), -(-size // MOST_BYTES))


def part_count(rows: int, buckets: int) -> int:
    """The parts in which a bucket's rows are handed over, so that a task holds one at a time."""
    return max(1, -(-rows // (buckets * PART_ROWS)))


def bucket_of(ids: np.ndarray, buckets: int) -> np.ndarray:
    """The bucket (int64) of each pair_id (int64): its place among 2^64 values, times ``buckets``, over 2^64."""
    place = ids.astype(np.int64).view(np.uint64) ^ _SIGN
    count = np.uint64(buckets)
    return (((place >> _HALF) * count + (((place & _LOW) * count) >> _HALF)) >> _HALF).astype(np.int64)


def first_id(bucket: int, buckets: int) -> int:
    """The smallest pair_id of a bucket; of the one after the last, 2^63."""
    return -(-(bucket << 64) // buckets) - (1 << 63)


def overlapping(first: int, end: int, buckets: int) -> range:
    """The buckets that hold ids in [first, end)."""
    if end <= first:
        return range(0)
    low, high = ((value + (1 << 63)) * buckets >> 64 for value in (first, end - 1))
    return range(low, high + 1)


def among(ids: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Whether each id is one of ``some``, which are ascending."""
    if not len(some):
        return np.zeros(len(ids), bool)
    return some[np.minimum(np.searchsorted(some, ids), len(some) - 1)] == ids
