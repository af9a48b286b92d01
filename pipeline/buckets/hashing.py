"""XXH64 over Arrow arrays, as Spark's ``xxhash64`` has it: ids of pairs, and their draws."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.compiled import compiled, load_word
from pipeline.match.fast import text_buffers

SEED = 42  # Spark's
# A draw has the 53 bits of a double's fraction.
DRAW_SHIFT, DRAW_UNIT = np.uint64(11), 2.0**-53
P1, P2, P3, P4, P5 = (
    np.uint64(p)
    for p in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)


def pair_ids(urls: pa.Array, texts: pa.Array) -> np.ndarray:
    """The pair_id (int64) of each pair: XXH64 with seed 42 of url, NUL, text in UTF-8. There are no nulls."""
    wide = pa.large_string()  # Offsets of 32 bits end at 2 GB.
    joined = pc.binary_join_element_wise(urls.cast(wide), texts.cast(wide), pa.scalar("\0", wide))
    return hashes(joined)


def hashes(values: pa.Array, seed: int = SEED) -> np.ndarray:
    """The XXH64 (as int64) of the bytes of each string."""
    data, offsets = text_buffers(values)
    found = np.empty(len(values), np.uint64)
    hash_rows(_padded(data), offsets, np.uint64(seed), found)
    return found.view(np.int64)


def draws(ids: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) from the seed and each pair_id: 53 bits of ``hashed``, the same on any machine."""
    return (hashed(ids, seed) >> DRAW_SHIFT) * DRAW_UNIT


def hashed(ids: np.ndarray, seed: int) -> np.ndarray:
    """Spark's ``xxhash64(seed, id)`` of two bigints, as uint64: the id's under the hash of the seed's."""
    inner = hash_words(np.array([seed], np.int64).view(np.uint64), np.uint64(SEED))[0]
    return hash_words(ids.astype(np.int64).view(np.uint64), inner)


def hash_words(words: np.ndarray, seed: np.uint64) -> np.ndarray:
    """The XXH64 of eight bytes each."""
    with np.errstate(over="ignore"):
        mixed = _turn(words * P2, 31) * P1
        found = _turn((seed + P5 + np.uint64(8)) ^ mixed, 27) * P1 + P4
        found = (found ^ (found >> np.uint64(33))) * P2
        found = (found ^ (found >> np.uint64(29))) * P3
        return found ^ (found >> np.uint64(32))


def _turn(values: np.ndarray, bits: int) -> np.ndarray:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _padded(data: np.ndarray) -> np.ndarray:
    """The bytes as the kernel wants them: never empty."""
    if len(data):
        return data
    empty = np.zeros(8, np.uint8)
    empty.flags.writeable = False
    return empty


@compiled
def rotate(value, bits):
    """The bits of a uint64 rotated to the left."""
    return np.uint64((value << np.uint64(bits)) | (value >> np.uint64(64 - bits)))


@compiled
def step(lane, word):
    """A lane of the hash after eight bytes more."""
    return np.uint64(rotate(np.uint64(lane + word * P2), 31) * P1)


@compiled
def hash_rows(data, offsets, seed, found):
    """Writes the XXH64 of each data[offsets[i]:offsets[i + 1]]."""
    zero = np.uint64(0)
    for row in range(len(found)):
        at, end = offsets[row], offsets[row + 1]
        length = np.uint64(end - at)
        if end - at >= 32:
            a, b, c, d = np.uint64(seed + P1 + P2), np.uint64(seed + P2), np.uint64(seed), np.uint64(seed - P1)
            while at + 32 <= end:
                a = step(a, load_word(data, at))
                b = step(b, load_word(data, at + 8))
                c = step(c, load_word(data, at + 16))
                d = step(d, load_word(data, at + 24))
                at += 32
            h = np.uint64(rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18))
            h = np.uint64((h ^ step(zero, a)) * P1 + P4)
            h = np.uint64((h ^ step(zero, b)) * P1 + P4)
            h = np.uint64((h ^ step(zero, c)) * P1 + P4)
            h = np.uint64((h ^ step(zero, d)) * P1 + P4)
        else:
            h = np.uint64(seed + P5)
        h = np.uint64(h + length)
        while at + 8 <= end:
            h = np.uint64(rotate(np.uint64(h ^ step(zero, load_word(data, at))), 27) * P1 + P4)
            at += 8
        if at + 4 <= end:
            word = np.uint64(
                np.uint64(data[at]) | np.uint64(data[at + 1]) << np.uint64(8)
                | np.uint64(data[at + 2]) << np.uint64(16) | np.uint64(data[at + 3]) << np.uint64(24)
            )  # fmt: skip
            h = np.uint64(rotate(np.uint64(h ^ np.uint64(word * P1)), 23) * P2 + P3)
            at += 4
        while at < end:
            h = np.uint64(rotate(np.uint64(h ^ np.uint64(np.uint64(data[at]) * P5)), 11) * P1)
            at += 1
        h = np.uint64((h ^ (h >> np.uint64(33))) * P2)
        h = np.uint64((h ^ (h >> np.uint64(29))) * P3)
        found[row] = np.uint64(h ^ (h >> np.uint64(32)))
