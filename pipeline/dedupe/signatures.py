"""MinHash signatures and their bands, by a compiled kernel over the Arrow buffer.

The scheme is datasketch's default ``affine32``: xxHash32 of a shingle's UTF-8, MurmurHash3's finaliser, then
``a * h + b`` in wrapping uint32 for each permutation, and the minimum over the shingles. Bands and rows are chosen as
datasketch does, from the threshold, by the least sum of false positives and negatives. Cost: some two microseconds a
caption of 63 characters and 128 permutations (``docs/performance.md``).
"""

from functools import lru_cache

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH

from pipeline.compiled import compiled
from pipeline.match.fast import text_buffers

SEED = 1
P1, P2, P3, P4, P5 = (np.uint32(p) for p in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1))
LARGEST = np.uint32(0xFFFFFFFF)


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


def signatures(normal: pa.Array, permutations: int, shingle: int) -> np.ndarray:
    """The signatures of normalised texts, uint32 of shape (texts, permutations), bit for bit datasketch's."""
    data, offsets = text_buffers(normal)
    result = np.empty((len(normal), permutations), np.uint32)
    longest = int(np.diff(offsets).max(initial=0)) + 1
    scratch = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.uint32)
    sign_rows(data, offsets, shingle, *_permutations(permutations), *scratch, result)
    return result


@compiled
def sign_rows(data, offsets, shingle, a, b, starts, hashes, result):
    """Writes the signature of each text data[offsets[i]:offsets[i + 1]]; ``starts`` and ``hashes`` are scratch."""
    for row in range(len(result)):
        count = hash_shingles(data, offsets[row], offsets[row + 1], shingle, starts, hashes)
        for k in range(len(a)):
            factor, term = a[k], b[k]
            least = LARGEST
            for i in range(count):
                least = min(least, np.uint32(factor * hashes[i] + term))
            result[row, k] = least


@compiled
def hash_shingles(data, start, end, shingle, starts, hashes):
    """Writes the mixed hash of each run of ``shingle`` characters (a shorter text is one), and returns their number."""
    characters = 0
    for at in range(start, end):
        starts[characters] = at
        characters += (data[at] & 0xC0) != 0x80
    starts[characters] = end
    count = max(1, characters - shingle + 1)
    for i in range(count):
        hashes[i] = finalise(xxh32(data, starts[i] if characters else start, starts[min(i + shingle, characters)]))
    return count


@compiled
def rotate(value, bits):
    """The bits of a uint32 rotated to the left."""
    return np.uint32(np.uint32(value << np.uint32(bits)) | np.uint32(value >> np.uint32(32 - bits)))


@compiled
def lane(data, at):
    """Four bytes as a uint32, little-endian."""
    return np.uint32(data[at] | data[at + 1] << 8 | data[at + 2] << 16 | np.uint32(data[at + 3]) << np.uint32(24))


@compiled
def xxh32(data, start, end):
    """The xxHash32 of data[start:end] with seed 0."""
    at, length = start, end - start
    if length >= 16:
        v1, v2, v3, v4 = np.uint32(P1 + P2), P2, np.uint32(0), np.uint32(0 - P1)
        while at + 16 <= end:
            v1 = np.uint32(rotate(np.uint32(v1 + lane(data, at) * P2), 13) * P1)
            v2 = np.uint32(rotate(np.uint32(v2 + lane(data, at + 4) * P2), 13) * P1)
            v3 = np.uint32(rotate(np.uint32(v3 + lane(data, at + 8) * P2), 13) * P1)
            v4 = np.uint32(rotate(np.uint32(v4 + lane(data, at + 12) * P2), 13) * P1)
            at += 16
        h = np.uint32(rotate(v1, 1) + rotate(v2, 7) + rotate(v3, 12) + rotate(v4, 18))
    else:
        h = P5
    h = np.uint32(h + np.uint32(length))
    while at + 4 <= end:
        h = np.uint32(rotate(np.uint32(h + lane(data, at) * P3), 17) * P4)
        at += 4
    while at < end:
        h = np.uint32(rotate(np.uint32(h + data[at] * P5), 11) * P1)
        at += 1
    h = np.uint32((h ^ (h >> np.uint32(15))) * P2)
    h = np.uint32((h ^ (h >> np.uint32(13))) * P3)
    return np.uint32(h ^ (h >> np.uint32(16)))


@compiled
def finalise(h):
    """MurmurHash3's 32-bit finaliser."""
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


def band_hashes(signature: np.ndarray, bands: int, rows: int, scopes: np.ndarray) -> np.ndarray:
    """A 64-bit hash for each band of each signature, int64 of shape (texts, bands).

    The band's number and the text's scope (a 64-bit value) go into it, so equal hashes mean equal bands of one scope,
    but for collisions, which only cost a comparison.
    """
    cut = signature[:, : bands * rows].reshape(len(signature), bands, rows).astype(np.uint64)
    number = np.arange(1, bands + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashed = scopes.astype(np.uint64)[:, None] ^ number
    for row in range(rows):
        hashed = (hashed ^ cut[:, :, row]) * np.uint64(0xFF51AFD7ED558CCD)
        hashed ^= hashed >> np.uint64(32)
    return hashed.view(np.int64)
