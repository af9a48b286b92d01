"""Equal texts and candidate pairs, from rows (hash, id, digest): a text's bands, or one half of its digest.

A bucket is the rows of one hash. Texts of equal digest are one text, whose smallest id, its head, stands for all.
"""

from collections.abc import Callable

import numpy as np

from pipeline.buckets.hashing import hashes
from pipeline.compiled import compiled
from pipeline.dedupe.bands import LARGE_BUCKET, bucket_pairs

HALVES = (11, 12)  # seeds of the two halves of a digest
FEW = 64  # rows that are put in order by insertion
SPARE, MIX = 8, np.uint64(0x9E3779B97F4A7C15)  # bits for each hash, and what spreads hashes over them


def digests(normal, scopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """128 bits of each normalised text and its scope, as two int64."""
    mixed = scopes.astype(np.int64)
    return tuple(hashes(normal, seed) ^ mixed for seed in HALVES)


def first_of_equal(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """For each row the first row of the same digest."""
    order = np.lexsort((low, high))
    new = np.concatenate([[True], (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)])[: len(order)]
    # The sort is stable, so the first of a group is its first row.
    heads = order[np.flatnonzero(new)]
    found = np.empty(len(order), np.int64)
    found[order] = heads[np.cumsum(new) - 1]
    return found


def shared(hashes: np.ndarray) -> np.ndarray:
    """The rows whose hash another row has too, in its order.

    Most rows share none, which a table of bits tells at once; the others are sorted.
    """
    bits = (SPARE * len(hashes)).bit_length()
    once, twice = np.zeros((2, max(1, (1 << bits) >> 3)), np.uint8)
    may = np.empty(len(hashes), np.bool_)
    write_repeated(hashes.view(np.uint64), np.uint64(64 - bits), once, twice, may)
    rows = np.flatnonzero(may)
    order = np.argsort(hashes[rows])
    rows, some = rows[order], hashes[rows[order]]
    same = some[1:] == some[:-1]
    return rows[np.append(same, False) | np.append(False, same)] if len(rows) else rows


@compiled
def write_repeated(hashes, shift, once, twice, may):
    """Writes whether the bit of each hash is that of another row's too."""
    for row in range(len(hashes)):
        place = np.int64((hashes[row] * MIX) >> shift)
        bit = np.uint8(1 << (place & 7))
        twice[place >> 3] |= once[place >> 3] & bit
        once[place >> 3] |= bit
    for row in range(len(hashes)):
        place = np.int64((hashes[row] * MIX) >> shift)
        may[row] = (twice[place >> 3] >> (place & 7)) & 1


def equal_edges(high: np.ndarray, ids: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges (a, b) from the smallest id of each digest to its others."""
    rows = shared(high)
    order_each(high, low, ids, rows)
    high, ids, low = high[rows], ids[rows], low[rows]
    new = np.concatenate([[True], (np.diff(high) != 0) | (np.diff(low) != 0)])[: len(ids)]
    heads = ids[np.flatnonzero(new)][np.cumsum(new) - 1]
    return heads[~new], ids[~new]


def candidate_pairs(
    bands: np.ndarray,
    ids: np.ndarray,
    digest: np.ndarray,
    near: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    large: int = LARGE_BUCKET,
) -> tuple[np.ndarray, np.ndarray]:
    """The candidate pairs (a, b), a < b, of the heads of each bucket; see ``bucket_pairs``.

    ``near``: says of rows i and j whether their texts may be near; the others are left out.
    """
    rows = shared(bands)
    order_each(bands, digest, ids, rows)
    head = np.concatenate([[True], (np.diff(bands[rows]) != 0) | (np.diff(digest[rows]) != 0)])[: len(rows)]
    rows = rows[head]
    order_each(bands, ids, ids, rows)
    i, j = bucket_pairs(bands[rows], rows, large)
    if near is not None:
        some = near(i, j)
        i, j = i[some], j[some]
    return ids[i], ids[j]


def order_each(hashes: np.ndarray, first: np.ndarray, second: np.ndarray, rows: np.ndarray) -> None:
    """Puts the rows of each hash, which are together, in the order of two keys: mostly they are two."""
    of_rows = hashes[rows]
    ends = np.append(np.flatnonzero(of_rows[1:] != of_rows[:-1]) + 1, len(rows))
    order_few(first, second, rows, ends)
    starts = np.append(0, ends[:-1])
    for many in np.flatnonzero(ends - starts > FEW).tolist():
        some = rows[starts[many] : ends[many]]
        some[:] = some[np.lexsort((second[some], first[some]))]


@compiled
def order_few(first, second, rows, ends):
    """Puts rows up to each end in the order of two keys, by insertion, where they are few."""
    start = 0
    for end in ends:
        for place in range(start + 1, end if end - start <= FEW else start):
            row, at = rows[place], place
            while at > start and after(first, second, rows[at - 1], row):
                rows[at] = rows[at - 1]
                at -= 1
            rows[at] = row
        start = end


@compiled
def after(first, second, row, other):
    """Whether a row comes after another one by two keys."""
    return first[row] > first[other] or (first[row] == first[other] and second[row] > second[other])


def distinct_pairs(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs in order, each once."""
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    new = np.concatenate([[True], (np.diff(a) != 0) | (np.diff(b) != 0)])[: len(a)]
    return a[new], b[new]
