"""Sketches of texts, by which most candidates that are not near are told before their texts are read.

A shingle marks one of 4,096 cells by its hash, and a bit of a sketch is the parity of the marked ones among 64 of them.
Where two sketches differ in d bits, at least d shingles are in one of the texts alone: an odd sketch (Mitzenmacher,
Pagh, Pham, "Efficient estimation for high similarities using odd sketches", 2014). Texts that differ in more than
the threshold allows are not near for certain.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from pipeline.compiled import compiled
from pipeline.dedupe.hashing import hash_shingles, scratch_for
from pipeline.match.fast import text_buffers

ROUNDING = 1e-6  # of the threshold's products, so that no pair is left out that is at the threshold


def sketches(normal: pa.Array, shingle: int, shingle_by: str = "characters") -> tuple[np.ndarray, np.ndarray]:
    """The sketches of normalised texts, uint64, and the numbers of their shingles, int32, repeated ones included."""
    data, offsets = text_buffers(normal)
    found, counts = np.empty(len(normal), np.uint64), np.empty(len(normal), np.int32)
    scratch = *scratch_for(offsets), np.empty(64, np.uint64)
    sketch_rows(data, offsets, shingle, shingle_by == "words", *scratch, found, counts)
    return found, counts


def may_be_near(sketch: np.ndarray, shingles: np.ndarray, threshold: float) -> Callable:
    """What says of texts i and j, by their sketches, whether their similarity may be at least the threshold.

    Of the n shingles of two texts d are in one alone: (n - d) / (n + d) >= t where d (1 + t) <= n (1 - t). ``shingles``
    count repeated ones again, so that n is no less than that, and the more stay.
    """

    def near(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        most = (shingles[i].astype(np.int64) + shingles[j]) * (1 - threshold) + ROUNDING
        return np.bitwise_count(sketch[i] ^ sketch[j]) * (1 + threshold) <= most

    return near


@compiled
def sketch_rows(data, offsets, size, by_words, starts, hashes, cells, found, counts):
    """Writes the sketch of each text and the number of its shingles; ``cells`` are 64 times 64 bits of scratch."""
    for row in range(len(found)):
        count = hash_shingles(data, offsets[row], offsets[row + 1], size, by_words, starts, hashes)
        cells[:] = 0
        for i in range(count):
            cells[hashes[i] & np.uint32(63)] |= np.uint64(1) << np.uint64(hashes[i] >> np.uint32(26))
        sketch = np.uint64(0)
        for marks in cells:
            sketch ^= marks
        found[row], counts[row] = sketch, count
