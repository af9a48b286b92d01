"""The hard cap: an entry keeps its ``t`` pairs of smallest draw, ties by pair_id.

The cut-off of each entry over its cap is found by histograms: a round counts, in one pass over the matches, how many of
an entry's pairs lie in each of ``BINS`` equal parts of the interval that holds its cut-off, and the part that does is
the next round's interval. The key that is refined has 117 bits, the draw's 53 above the pair_id's 64, so that ties are
decided by the same rounds; an interval stops being refined when its end is the cut-off.
"""

from dataclasses import dataclass

import numpy as np

BITS = 8
BINS = 1 << BITS
DRAW_BITS, ID_BITS = 53, 64
_SIGN = np.uint64(1 << 63)


def keys(draws: np.ndarray, pair_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of pairs as two uint64 arrays: the draw's 53 bits, then the pair_id in signed order."""
    return (draws * 2.0**DRAW_BITS).astype(np.uint64), pair_ids.astype(np.int64).view(np.uint64) ^ _SIGN


@dataclass
class Cutoffs:
    """For each entry (flat) the cut-off: pairs with (draw, id) below (``high``, ``low``) are kept by it.

    While it is searched for, ``high`` and ``low`` are the lower end of the interval in which it lies, ``bits`` is the
    number of leading key bits that are settled, and ``left`` how many of the pairs in it are to be kept.
    """

    open: np.ndarray  # indices of entries still searched for
    high: np.ndarray
    low: np.ndarray
    left: np.ndarray
    bits: int = 0

    @classmethod
    def start(cls, counts: np.ndarray, limits: np.ndarray) -> "Cutoffs":
        """The search for each entry with more pairs than its limit; the others keep all (a cut-off beyond all keys)."""
        left = np.floor(limits).astype(np.int64)
        over = counts > left
        high = np.where(over, np.uint64(0), np.uint64(1 << DRAW_BITS))
        return cls(np.flatnonzero(over), high, np.zeros(len(counts), np.uint64), left)

    def done(self) -> bool:
        """Whether every cut-off is found."""
        return len(self.open) == 0 or self.bits >= DRAW_BITS + ID_BITS

    def places(self) -> np.ndarray:
        """The place of each entry among the open ones, or -1."""
        place = np.full(len(self.high), -1, np.int64)
        place[self.open] = np.arange(len(self.open))
        return place

    def cells(
        self, place: np.ndarray, ids: np.ndarray, high: np.ndarray, low: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The histograms of some matches (flat entry ids, their keys) in the open intervals: cells and their counts.

        A cell is ``place * BINS + bin`` of the entry's ``places``; empty ones are left out.
        """
        at = place[ids]
        inside = at >= 0
        at, ids, high, low = at[inside], ids[inside], high[inside], low[inside]
        in_high, in_low = _prefix(high, low, self.bits)
        same = (in_high == self.high[ids]) & (in_low == self.low[ids])
        return np.unique(at[same] * BINS + _next_bits(high[same], low[same], self.bits), return_counts=True)

    def steps(self, cells: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For the open entries of the cells, which are all their matches: place, bins to go up, pairs below, exact.

        The first bin at whose end at least ``left`` pairs lie holds the cut-off, or, exactly, ends at it.
        """
        entry = cells // BINS
        starts = np.flatnonzero(np.concatenate([[True], np.diff(entry) != 0]))[: len(cells)]
        sizes = np.diff(np.append(starts, len(cells)))
        below = np.cumsum(counts)
        below -= np.repeat(below[starts] - counts[starts], sizes)
        left = np.repeat(self.left[self.open[entry[starts]]], sizes)
        short = np.add.reduceat(below < left, starts) if len(starts) else np.zeros(0, np.int64)
        at = starts + short
        exact = below[at] == left[starts]
        before = below[at] - counts[at]
        nothing = left[starts] == 0
        step = np.where(nothing, 0, cells[at] % BINS + exact)
        return entry[starts], step, np.where(nothing, 0, before), exact | nothing

    def refine(self, place: np.ndarray, step: np.ndarray, before: np.ndarray, exact: np.ndarray) -> None:
        """Narrows each open interval by the ``steps`` of all matches: to the bin that holds its cut-off."""
        entries = self.open[place]
        self.left[entries] -= before
        self.high[entries], self.low[entries] = _advance(
            self.high[entries], self.low[entries], self.bits, step.astype(np.uint64)
        )
        self.bits += _width(self.bits)
        self.open = np.sort(entries[~exact])

    def keeps(self, ids: np.ndarray, high: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Whether each match is among those that its entry keeps."""
        return (high < self.high[ids]) | ((high == self.high[ids]) & (low < self.low[ids]))


def kept_rows(keeps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A row stays if any of its entries keeps it; one without entries goes."""
    return np.diff(np.append(0, np.cumsum(keeps))[offsets]) > 0


def _width(bits: int) -> int:
    """How many bits the next round settles: BITS, but never across the draw's end nor past the key's."""
    end = DRAW_BITS if bits < DRAW_BITS else DRAW_BITS + ID_BITS
    return min(BITS, end - bits)


def _prefix(high: np.ndarray, low: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The keys with all but their leading ``bits`` cleared."""
    if bits <= DRAW_BITS:
        shift = np.uint64(DRAW_BITS - bits)
        return (high >> shift) << shift, np.zeros_like(low)
    rest = ID_BITS - (bits - DRAW_BITS)
    return high, low if rest == 0 else (low >> np.uint64(rest)) << np.uint64(rest)


def _next_bits(high: np.ndarray, low: np.ndarray, bits: int) -> np.ndarray:
    """The bits that the next round settles, as numbers below BINS."""
    width = _width(bits)
    if bits < DRAW_BITS:
        return ((high >> np.uint64(DRAW_BITS - bits - width)) & np.uint64((1 << width) - 1)).astype(np.int64)
    rest = ID_BITS - (bits - DRAW_BITS) - width
    return ((low >> np.uint64(rest)) & np.uint64((1 << width) - 1)).astype(np.int64)


def _advance(high: np.ndarray, low: np.ndarray, bits: int, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The interval's lower end moved up by ``step`` bins; carries out of the id into the draw."""
    width = _width(bits)
    if bits < DRAW_BITS:
        return high + (step << np.uint64(DRAW_BITS - bits - width)), low
    moved = low + (step << np.uint64(ID_BITS - (bits - DRAW_BITS) - width))
    return high + (moved < low), moved
