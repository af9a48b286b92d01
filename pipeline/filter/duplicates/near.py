"""Perceptual hashes within a Hamming distance: which bits to join on, and the pairs that are near.

Two hashes that differ in at most ``d`` of 64 bits are equal in at least ``k`` of ``d + k`` bands of bits, so joining on
every choice of ``k`` bands finds every near pair. More joined bands make fewer comparisons and more rows: ``masks``
takes as many as the number of hashes needs.
"""

from itertools import combinations, pairwise

import numpy as np

from pipeline.compiled import compiled

BITS = 64
MOST_JOINED = 4
FULL_BUCKET = 4  # hashes that share a key by chance, on average


def masks(distance: int, hashes: int) -> np.ndarray:
    """The bits to join on, uint64: the hashes of a near pair are equal under at least one of the masks."""
    joined = 1
    while joined < MOST_JOINED and hashes / 2 ** (BITS * joined // (distance + joined)) > FULL_BUCKET:
        joined += 1
    bands = distance + joined
    cuts = [BITS * i // bands for i in range(bands + 1)]
    ones = [((1 << high) - 1) ^ ((1 << low) - 1) for low, high in pairwise(cuts)]
    return np.array([sum(chosen) for chosen in combinations(ones, joined)], np.uint64)


def near_pairs(keys: np.ndarray, hashes: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of hashes (int64) with the same key, sorted by key, that differ in 1 to ``distance`` bits."""
    if len(keys) == 0:
        return hashes, hashes
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    ends = np.append(firsts[1:], len(keys))
    unsigned = hashes.view(np.uint64)
    left = np.empty(count_near(unsigned, firsts, ends, distance), np.int64)
    right = np.empty_like(left)
    write_near(unsigned, firsts, ends, distance, left, right)
    return hashes[left], hashes[right]


class Known:
    """Hashes that others are held against, sorted under each mask."""

    def __init__(self, hashes: np.ndarray, distance: int):
        """``hashes``: int64."""
        self.distance = distance
        self.hashes = np.unique(hashes)
        unsigned = self.hashes.view(np.uint64)
        self.masks = masks(distance, max(1, len(hashes)))
        self.orders = [np.argsort(unsigned & mask, kind="stable") for mask in self.masks]
        self.keys = [(unsigned & mask)[order] for mask, order in zip(self.masks, self.orders, strict=True)]

    def near(self, hashes: np.ndarray) -> np.ndarray:
        """For each of the hashes (int64) whether a known one is within the distance."""
        unsigned, found = hashes.view(np.uint64), np.zeros(len(hashes), bool)
        for mask, order, keys in zip(self.masks, self.orders, self.keys, strict=True):
            wanted = unsigned & mask
            first, end = (np.searchsorted(keys, wanted, side=side) for side in ("left", "right"))
            rows = np.repeat(np.arange(len(hashes)), end - first)
            steps = np.arange(len(rows)) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
            there = self.hashes.view(np.uint64)[order[first[rows] + steps]]
            found[rows[np.bitwise_count(there ^ unsigned[rows]) <= self.distance]] = True
        return found


@compiled
def differing_bits(a, b):
    """The number of bits in which two uint64 differ."""
    bits = a ^ b
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def count_near(hashes, firsts, ends, distance):
    """The number of near pairs within the buckets."""
    count = 0
    for bucket in range(len(firsts)):
        for i in range(firsts[bucket], ends[bucket]):
            for j in range(i + 1, ends[bucket]):
                count += np.uint64(1) <= differing_bits(hashes[i], hashes[j]) <= np.uint64(distance)
    return count


@compiled
def write_near(hashes, firsts, ends, distance, left, right):
    """Writes the places of the near pairs within the buckets."""
    at = 0
    for bucket in range(len(firsts)):
        for i in range(firsts[bucket], ends[bucket]):
            for j in range(i + 1, ends[bucket]):
                if np.uint64(1) <= differing_bits(hashes[i], hashes[j]) <= np.uint64(distance):
                    left[at], right[at] = i, j
                    at += 1
