"""A set of hashes that takes a few bits for each, so that every task has it; it may hold some that are none of it."""

import numpy as np

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
        self._set = np.zeros(2 << (self.bits - 3), np.uint8)

    def places(self, hashes: np.ndarray) -> np.ndarray:
        """The places of each hash, those in the first half and then those in the second."""
        return np.concatenate([self._first(hashes), self._second(hashes)])

    def add(self, places: np.ndarray) -> None:
        """Takes in hashes by their places."""
        np.bitwise_or.at(self._set, places >> 3, np.left_shift(1, places & 7).astype(np.uint8))

    def holds(self, hashes: np.ndarray) -> np.ndarray:
        """Whether each hash is held, or has the places of some."""
        held = self._at(self._first(hashes))
        some = np.flatnonzero(held)
        held[some] = self._at(self._second(hashes[some]))
        return held

    def _first(self, hashes: np.ndarray) -> np.ndarray:
        return (hashes.view(np.uint64) >> np.uint64(64 - self.bits)).astype(np.int64)

    def _second(self, hashes: np.ndarray) -> np.ndarray:
        return ((hashes.view(np.uint64) * MIX) >> np.uint64(64 - self.bits)).astype(np.int64) + (1 << self.bits)

    def _at(self, places: np.ndarray) -> np.ndarray:
        return (self._set[places >> 3] >> (places & 7).astype(np.uint8)) & 1 == 1
