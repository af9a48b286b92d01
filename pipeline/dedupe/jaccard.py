"""The true Jaccard similarity of pairs of texts, by their shingle hashes, in compiled code."""

import secrets

import numpy as np
import pyarrow as pa

from pipeline.compiled import compiled
from pipeline.dedupe.hashing import hash_shingles, scratch_for
from pipeline.match.fast import text_buffers

SEEN = np.uint64(1 << 32)  # that the second text has a shingle
# Differs from process to process, so that no text can be made whose shingles all have one place.
FACTOR = np.uint64(secrets.randbits(64) | 1)


def jaccards(left: pa.Array, right: pa.Array, shingle: int, shingle_by: str = "characters") -> np.ndarray:
    """For each pair of normalised texts the similarity of their sets of shingle hashes, float64.

    Shingles are told apart by their 32-bit hash: two of a caption's 60 are equal by chance once in 2 million captions.
    """
    data_a, offsets_a = text_buffers(left)
    data_b, offsets_b = text_buffers(right)
    found = np.empty(len(left), np.float64)
    scratch = *scratch_for(offsets_a), *scratch_for(offsets_b)
    room = int((np.diff(offsets_a) + np.diff(offsets_b)).max(initial=0)) + 2
    table = np.zeros(1 << (2 * room - 1).bit_length(), np.uint64)
    compare_rows(data_a, offsets_a, data_b, offsets_b, shingle, shingle_by == "words", *scratch, table, FACTOR, found)
    return found


@compiled
def compare_rows(
    data_a, offsets_a, data_b, offsets_b, size, by_words, starts_a, hashes_a, starts_b, hashes_b, table, factor, found
):
    """Writes the similarity of each pair of texts; ``starts``, ``hashes`` and ``table`` are scratch.

    A place of the table holds a shingle's hash with the row's number, so that it need not be cleared for each, and
    whether the second text has it. Of the table a pair uses what is twice as much as its shingles.
    """
    for row in range(len(found)):
        count_a = hash_shingles(data_a, offsets_a[row], offsets_a[row + 1], size, by_words, starts_a, hashes_a)
        count_b = hash_shingles(data_b, offsets_b[row], offsets_b[row + 1], size, by_words, starts_b, hashes_b)
        bits = np.uint64(1)
        while np.int64(1) << np.int64(bits) < 2 * (count_a + count_b):
            bits += np.uint64(1)
        either = common = 0
        for i in range(count_a):
            held = np.uint64(row + 1) << np.uint64(33) | np.uint64(hashes_a[i])
            at = place_of(held, factor, bits, table)
            either += table[at] != held
            table[at] = held
        for i in range(count_b):
            held = np.uint64(row + 1) << np.uint64(33) | np.uint64(hashes_b[i])
            at = place_of(held, factor, bits, table)
            common += table[at] == held
            either += table[at] & ~SEEN != held
            table[at] = held | SEEN
        found[row] = common / either


@compiled
def place_of(held, factor, bits, table):
    """Where the table has a row's hash, or may take it: a place of another row, or never taken, counts as free."""
    last = (np.uint64(1) << bits) - np.uint64(1)
    at = (held * factor) >> (np.uint64(64) - bits)
    while table[at] >> np.uint64(33) == held >> np.uint64(33) and table[at] & ~SEEN != held:
        at = (at + np.uint64(1)) & last
    return at
