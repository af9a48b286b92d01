"""The true Jaccard similarity of pairs of texts, by their shingle hashes, in compiled code."""

import numpy as np
import pyarrow as pa

from pipeline.compiled import compiled
from pipeline.dedupe.hashing import hash_shingles, scratch_for
from pipeline.match.fast import text_buffers


def jaccards(left: pa.Array, right: pa.Array, shingle: int, shingle_by: str = "characters") -> np.ndarray:
    """For each pair of normalised texts the similarity of their sets of shingle hashes, float64.

    Shingles are told apart by their 32-bit hash: two of a caption's 60 are equal by chance once in 2 million captions.
    """
    data_a, offsets_a = text_buffers(left)
    data_b, offsets_b = text_buffers(right)
    found = np.empty(len(left), np.float64)
    scratch = *scratch_for(offsets_a), *scratch_for(offsets_b)
    compare_rows(data_a, offsets_a, data_b, offsets_b, shingle, shingle_by == "words", *scratch, found)
    return found


@compiled
def compare_rows(data_a, offsets_a, data_b, offsets_b, size, by_words, starts_a, hashes_a, starts_b, hashes_b, found):
    """Writes the similarity of each pair of texts; ``starts`` and ``hashes`` are scratch."""
    for row in range(len(found)):
        count = hash_shingles(data_a, offsets_a[row], offsets_a[row + 1], size, by_words, starts_a, hashes_a)
        a = distinct(hashes_a, count)
        count = hash_shingles(data_b, offsets_b[row], offsets_b[row + 1], size, by_words, starts_b, hashes_b)
        b = distinct(hashes_b, count)
        i = j = common = 0
        while i < a and j < b:
            common += hashes_a[i] == hashes_b[j]
            ahead = hashes_a[i] <= hashes_b[j]
            j += hashes_a[i] >= hashes_b[j]
            i += ahead
        found[row] = common / (a + b - common)


@compiled
def distinct(values, count):
    """Sorts values[:count] with the distinct ones in front, and returns their number."""
    values[:count] = np.sort(values[:count])
    kept = 1
    for i in range(1, count):
        values[kept] = values[i]
        kept += values[i] != values[kept - 1]
    return kept
