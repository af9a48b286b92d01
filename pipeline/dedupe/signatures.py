"""MinHash signatures by a compiled kernel over the Arrow buffer.

The scheme is datasketch's default ``affine32``: xxHash32 of a shingle's UTF-8, MurmurHash3's finaliser, then
``a * h + b`` in wrapping uint32 for each permutation, and the minimum over the shingles. Cost: half a microsecond a
caption of 63 characters and 128 permutations (``docs/performance.md``).
"""

from functools import lru_cache

import numpy as np
import pyarrow as pa

from pipeline.compiled import compiled
from pipeline.dedupe.hashing import hash_shingles, scratch_for
from pipeline.match.fast import text_buffers

SEED = 1
LARGEST = np.uint32(0xFFFFFFFF)


@lru_cache(maxsize=8)
def coefficients(permutations: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors and terms, uint32, of so many permutations, drawn as datasketch draws them, whose import takes a
    second: odd factors, so that each is one to one."""
    generator = np.random.RandomState(SEED)
    a = generator.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, generator.randint(0, 1 << 32, permutations, dtype=np.uint32)


def signatures(
    normal: pa.Array, permutations: tuple[np.ndarray, np.ndarray], shingle: int, shingle_by: str = "characters"
) -> pa.FixedSizeListArray:
    """The signatures of normalised texts, fixed-size lists of a uint32 a permutation, bit for bit datasketch's.

    ``normal``: a string or large_string array as ``normalise`` makes it; a null counts as an empty text.
    ``permutations``: their ``coefficients``. ``shingle``: characters (or words, where ``shingle_by`` says so) of a
    shingle.
    """
    data, offsets = text_buffers(normal)
    count = len(permutations[0])
    result = np.empty((len(normal), count), np.uint32)
    by_words = shingle_by == "words"
    sign_rows(data, offsets, shingle, by_words, *permutations, *scratch_for(offsets), result)
    return pa.FixedSizeListArray.from_arrays(pa.array(result.ravel()), count)


@compiled
def sign_rows(data, offsets, shingle, by_words, a, b, starts, hashes, result):
    """Writes the signature of each text data[offsets[i]:offsets[i + 1]]; ``starts`` and ``hashes`` are scratch.

    Four shingles at a time go through all permutations, which compilers turn into vector instructions.
    """
    for row in range(len(result)):
        count = hash_shingles(data, offsets[row], offsets[row + 1], shingle, by_words, starts, hashes)
        for i in range(count):
            hashes[i] = finalise(hashes[i])
        hashes[count : count + 3] = hashes[0]
        least = result[row]
        least[:] = LARGEST
        for i in range(0, count, 4):
            first, second, third, fourth = hashes[i], hashes[i + 1], hashes[i + 2], hashes[i + 3]
            for k in range(len(a)):
                one = min(permuted(a[k], b[k], first), permuted(a[k], b[k], second))
                other = min(permuted(a[k], b[k], third), permuted(a[k], b[k], fourth))
                least[k] = min(least[k], min(one, other))


@compiled
def permuted(a, b, h):
    """A hash by a permutation."""
    return np.uint32(np.uint32(a * h) + b)


@compiled
def finalise(h):
    """MurmurHash3's 32-bit finaliser."""
    h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))
