"""A set of hashes that takes a few bits for each, so that every task has it; it may hold some that are none of it."""

import numpy as np

# Bits for each hash that is held, and the most of all.
SPARE, LEAST_BITS, MOST_BITS = 64, 16, 30


class Bitmap:
    """Hashes (int64) by their leading bits."""

    def __init__(self, count: int):
        """``count``: about so many hashes are held."""
        self.bits = min(MOST_BITS, max(LEAST_BITS, (SPARE * count).bit_length()))
        self._set = np.zeros(1 << (self.bits - 3), np.uint8)

    def places(self, hashes: np.ndarray) -> np.ndarray:
        """The place of each hash."""
        return (hashes.view(np.uint64) >> np.uint64(64 - self.bits)).astype(np.int64)

    def add(self, places: np.ndarray) -> None:
        """Takes in hashes by their places."""
        np.bitwise_or.at(self._set, places >> 3, np.left_shift(1, places & 7).astype(np.uint8))

    def holds(self, hashes: np.ndarray) -> np.ndarray:
        """Whether each hash is held, or has the place of one."""
        places = self.places(hashes)
        return (self._set[places >> 3] >> (places & 7).astype(np.uint8)) & 1 == 1
