"""MinHash signatures and their bands.

The scheme is datasketch's default ``affine32``: xxHash32 of a shingle's UTF-8, MurmurHash3's finaliser, then
``a * h + b`` in wrapping uint32 for each permutation, and the minimum over the shingles. Bands and rows are chosen as
datasketch does, from the threshold, by the least sum of false positives and negatives.
"""

from functools import lru_cache

import numpy as np
import xxhash
from datasketch import MinHash, MinHashLSH

from pipeline.dedupe.shingles import shingles

SEED = 1


@lru_cache(maxsize=8)
def bands_and_rows(threshold: float, permutations: int) -> tuple[int, int]:
    """How many bands of how many rows a signature is cut into for a Jaccard threshold."""
    if threshold >= 1:
        return 2, permutations // 2
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    return index.b, index.r


@lru_cache(maxsize=8)
def _permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = MinHash(num_perm=count, seed=SEED).permutations
    return a.astype(np.uint32), b.astype(np.uint32)


def signatures(normal: list[str], permutations: int, shingle: int) -> np.ndarray:
    """The signatures of normalised texts, uint32 of shape (texts, permutations), bit for bit datasketch's."""
    result = np.empty((len(normal), permutations), np.uint32)
    a, b = _permutations(permutations)
    for row, text in enumerate(normal):
        hashes = np.fromiter((xxhash.xxh32_intdigest(s.encode()) for s in shingles(text, shingle)), np.uint32)
        mixed = _finalise(hashes)
        result[row] = (mixed[:, None] * a + b).min(axis=0)
    return result


def _finalise(h: np.ndarray) -> np.ndarray:
    """MurmurHash3's 32-bit finaliser, element by element, in wrapping uint32."""
    h = h ^ (h >> np.uint32(16))
    h = h * np.uint32(0x85EBCA6B)
    h = h ^ (h >> np.uint32(13))
    h = h * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def band_hashes(signature: np.ndarray, bands: int, rows: int, scopes: np.ndarray) -> np.ndarray:
    """A 64-bit hash for each band of each signature, int64 of shape (texts, bands).

    The band's number and the text's scope (a 64-bit value) go into it, so equal hashes mean equal bands of one scope,
    but for collisions, which only cost a comparison.
    """
    cut = signature[:, : bands * rows].reshape(len(signature), bands, rows).astype(np.uint64)
    hashed = scopes.astype(np.uint64)[:, None] ^ (
        np.arange(1, bands + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    )
    for row in range(rows):
        hashed = (hashed ^ cut[:, :, row]) * np.uint64(0xFF51AFD7ED558CCD)
        hashed ^= hashed >> np.uint64(32)
    return hashed.view(np.int64)
