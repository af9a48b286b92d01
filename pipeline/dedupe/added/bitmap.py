"""A set of hashes that takes a few bits for each, so that every task has it; it may hold some that are none of it."""

import numpy as np

from pipeline.compiled import compiled

# Bits for each hash that is held, in each half, and the most of all in one.
SPARE, LEAST_BITS, MOST_BITS = 32, 16, 30
MIX = np.uint64(0x9E3779B97F4A7C15)


class Bitmap:
    """Hashes (int64) by their leading bits, and in another half by the leading bits of a product of them.

    One that is not held is taken for one that is where both places are those of some (Bloom 1970): one in a thousand.
    """

    def __init__(self, count: int):
        """``count``: about so many hashes are held."""
        self.bits = min(MOST_BITS, max(LEAST_BITS, (SPARE * count).bit_length()))
        self._set: np.ndarray | None = None  # until something is added: tasks that say places need none

    def places(self, hashes: np.ndarray) -> np.ndarray:
        """The places of each hash, those in the first half and then those in the second."""
        return np.concatenate([self._first(hashes), self._second(hashes)])

    def add(self, places: np.ndarray) -> None:
        """Takes in hashes by their places."""
        if self._set is None:
            self._set = np.zeros(2 << (self.bits - 3), np.uint8)
        set_bits(self._set, places)

    def holds(self, hashes: np.ndarray) -> np.ndarray:
        """Whether each hash is held, or has the places of some."""
        held = np.empty(len(hashes), np.bool_)
        look_up(self._set, hashes.view(np.uint64), np.uint64(64 - self.bits), held)
        return held

    def _first(self, hashes: np.ndarray) -> np.ndarray:
        return (hashes.view(np.uint64) >> np.uint64(64 - self.bits)).astype(np.int64)

    def _second(self, hashes: np.ndarray) -> np.ndarray:
        return ((hashes.view(np.uint64) * MIX) >> np.uint64(64 - self.bits)).astype(np.int64) + (1 << self.bits)


@compiled
def set_bits(bits, places):
    """Sets the bits at some places."""
    for place in places:
        bits[place >> 3] |= np.uint8(1 << (place & 7))


@compiled
def look_up(bits, hashes, shift, held):
    """Writes whether the bits at both places of each hash are set."""
    half = np.int64(4) * len(bits)
    for row in range(len(hashes)):
        place = np.int64(hashes[row] >> shift)
        held[row] = (bits[place >> 3] >> (place & 7)) & 1
        if held[row]:
            place = np.int64((hashes[row] * MIX) >> shift) + half
            held[row] = (bits[place >> 3] >> (place & 7)) & 1
