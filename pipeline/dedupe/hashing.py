"""Shingle hashes in compiled code: xxHash32 of each shingle's UTF-8, read in place."""

import numpy as np

from pipeline.compiled import compiled

P1, P2, P3, P4, P5 = (np.uint32(p) for p in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1))
SPACE = np.uint8(ord(" "))


def scratch_for(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Room for the shingles of the longest of the texts with these offsets, as ``hash_shingles`` wants it, and for
    three more hashes."""
    longest = int(np.diff(offsets).max(initial=0)) + 1
    return np.empty(longest + 1, np.int64), np.empty(longest + 4, np.uint32)


@compiled
def hash_shingles(data, start, end, size, by_words, starts, hashes):
    """Writes the hash of each run of ``size`` characters or words (a shorter text is one), and returns their number."""
    if not by_words and size < 16 and plain(data, start, end):
        return hash_runs(data, start, end, size, hashes)
    units = 0
    if by_words:
        # A word ends one byte, the space, before the next one starts.
        for at in range(start, end):
            starts[units] = at
            units += at == start or data[at - 1] == SPACE
        starts[units] = end + 1
    else:
        for at in range(start, end):
            starts[units] = at
            units += (data[at] & 0xC0) != 0x80
        starts[units] = end
    starts[0] = start
    count = max(1, units - size + 1)
    for i in range(count):
        last = starts[i + size] - by_words if i + size <= units else end
        hashes[i] = xxh32(data, starts[i], last)
    return count


@compiled
def plain(data, start, end):
    """Whether data[start:end] is ASCII."""
    bits = np.uint8(0)
    for at in range(start, end):
        bits |= data[at]
    return bits < 128


@compiled
def hash_runs(data, start, end, size, hashes):
    """``hash_shingles`` of ASCII for shingles of less than 16 characters.

    Each step of xxHash32 is one for all of them, in loops over slices, which compilers turn into vector instructions.
    """
    size = min(size, end - start)
    count = end - start - size + 1
    for i in range(count):
        hashes[i] = np.uint32(P5 + np.uint32(size))
    for at in range(start, start + size - 3, 4):
        first, second, third, fourth = data[at:], data[at + 1 :], data[at + 2 :], data[at + 3 :]
        for i in range(count):
            four = word(first[i], second[i], third[i], fourth[i])
            hashes[i] = np.uint32(rotate(np.uint32(hashes[i] + np.uint32(four * P3)), 17) * P4)
    for at in range(start + (size & ~3), start + size):
        rest = data[at:]
        for i in range(count):
            hashes[i] = np.uint32(rotate(np.uint32(hashes[i] + np.uint32(np.uint32(rest[i]) * P5)), 11) * P1)
    for i in range(count):
        hashes[i] = avalanche(hashes[i])
    return count


@compiled
def rotate(value, bits):
    """The bits of a uint32 rotated to the left."""
    return np.uint32(np.uint32(value << np.uint32(bits)) | np.uint32(value >> np.uint32(32 - bits)))


@compiled
def lane(data, at):
    """The four bytes from a place as a uint32, little-endian."""
    return word(data[at], data[at + 1], data[at + 2], data[at + 3])


@compiled
def word(first, second, third, fourth):
    """Four bytes as a uint32, little-endian."""
    low = np.uint32(first) | np.uint32(np.uint32(second) << np.uint32(8))
    return low | np.uint32(np.uint32(third) << np.uint32(16)) | np.uint32(np.uint32(fourth) << np.uint32(24))


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
    return avalanche(h)


@compiled
def avalanche(h):
    """The last step of xxHash32."""
    h = np.uint32((h ^ (h >> np.uint32(15))) * P2)
    h = np.uint32((h ^ (h >> np.uint32(13))) * P3)
    return np.uint32(h ^ (h >> np.uint32(16)))
