"""Bands of MinHash signatures: how many, their hashes, and the candidate pairs of the texts that share one.

Bands and rows are chosen as datasketch does, from the threshold, by the least sum of false positives and negatives
(Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4).
"""

from functools import lru_cache

import numpy as np
import pyarrow as pa

from pipeline.compiled import compiled

LARGE_BUCKET = 64


@lru_cache(maxsize=8)
def bands_and_rows(threshold: float, permutations: int) -> tuple[int, int]:
    """How many bands of how many rows a signature is cut into for a Jaccard threshold.

    The chance that texts of similarity s share a band is 1 - (1 - s^rows)^bands, a polynomial, which Gauss and Legendre
    integrate as it is. (datasketch does so by SciPy, whose import takes a second.)
    """
    if threshold >= 1:
        return 2, permutations // 2
    bands = np.arange(1, permutations + 1)
    rows = np.concatenate([np.arange(1, permutations // some + 1) for some in bands])
    bands = np.repeat(bands, permutations // bands)
    nodes, weights = np.polynomial.legendre.leggauss(permutations // 2 + 1)

    def apart(start: float, end: float) -> np.ndarray:
        """The integral of the chance to share no band, for each number of bands and rows."""
        similarities = start + (end - start) * (nodes + 1) / 2
        return (1 - similarities ** rows[:, None]) ** bands[:, None] @ weights * (end - start) / 2

    best = int(np.argmin(threshold - apart(0, threshold) + apart(threshold, 1)))
    return int(bands[best]), int(rows[best])


def band_hashes(signatures: pa.FixedSizeListArray, bands: int, rows: int, scopes: np.ndarray) -> np.ndarray:
    """A 64-bit hash for each band of each signature, int64 of shape (texts, bands).

    The band's number and the text's scope (a 64-bit value) go into it, so equal hashes mean equal bands of one scope,
    but for collisions, which only cost a comparison.
    """
    values = signatures.flatten().to_numpy().reshape(len(signatures), signatures.type.list_size)
    hashes = np.empty((len(signatures), bands), np.uint64)
    hash_bands(values, scopes.astype(np.uint64), rows, hashes)
    return hashes.view(np.int64)


@compiled
def hash_bands(values, scopes, rows, hashes):
    """Writes the hash of each band of ``rows`` values of each signature."""
    for text in range(len(hashes)):
        for band in range(hashes.shape[1]):
            hashed = scopes[text] ^ np.uint64(np.uint64(band + 1) * np.uint64(0x9E3779B97F4A7C15))
            for row in range(band * rows, (band + 1) * rows):
                hashed = (hashed ^ np.uint64(values[text, row])) * np.uint64(0xFF51AFD7ED558CCD)
                hashed ^= hashed >> np.uint64(32)
            hashes[text, band] = hashed


def bucket_pairs(bands: np.ndarray, ids: np.ndarray, large: int = LARGE_BUCKET) -> tuple[np.ndarray, np.ndarray]:
    """The candidate pairs (a, b), a before b, of rows (band, id) that are in order of band and of the texts' ids.

    All pairs of a bucket of at most ``large`` ids; in a larger one each id with the smallest alone, so that a template
    that a million texts share makes a million pairs.
    """
    firsts = np.flatnonzero(np.concatenate([[True], bands[1:] != bands[:-1]])) if len(bands) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(firsts, len(bands)))
    counts = np.where(sizes <= large, sizes * (sizes - 1) // 2, sizes - 1)
    a, b = np.empty(counts.sum(), np.int64), np.empty(counts.sum(), np.int64)
    write_pairs(ids, firsts, sizes, large, a, b)
    return a, b


@compiled
def write_pairs(ids, firsts, sizes, large, a, b):
    """Writes the pairs of each bucket ids[firsts[i]:firsts[i] + sizes[i]]."""
    at = 0
    for bucket in range(len(firsts)):
        first, end = firsts[bucket], firsts[bucket] + sizes[bucket]
        for i in range(first, end if sizes[bucket] <= large else first + 1):
            for j in range(i + 1, end):
                a[at], b[at] = ids[i], ids[j]
                at += 1
