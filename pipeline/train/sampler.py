"""The order of samples: a pure function of the seed, whatever the number of workers and processes.

The stream of samples goes through the set again and again. In each epoch the shards are permuted, then the samples
within windows of ``window`` shards, so that memory is that of a window. A batch is ``batch`` consecutive samples of the
stream; it may reach into the next epoch.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pipeline.errors import PipelineError

GOLDEN, MIX_1, MIX_2 = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
Keep = Callable[[int, int], np.ndarray]


def uniforms(seed: int, purpose: int, positions: np.ndarray, count: int) -> np.ndarray:
    """Numbers in [0, 1), float64 of shape (positions, count): each position has its own, wherever they are drawn.

    SplitMix64 over the seed, a ``purpose`` that keeps uses apart, the position and the number's index.
    """
    with np.errstate(over="ignore"):
        mixed = _mix(np.uint64(seed) * GOLDEN + np.uint64(purpose))
        mixed = _mix(mixed ^ _mix(positions.astype(np.uint64)[:, None] + GOLDEN))
        mixed = _mix(mixed + np.arange(1, count + 1, dtype=np.uint64)[None, :] * GOLDEN)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(30))) * MIX_1
    value = (value ^ (value >> np.uint64(27))) * MIX_2
    return value ^ (value >> np.uint64(31))


class WindowStart(NamedTuple):
    """Where a window starts: its position in the stream, its epoch, its number in that, the epoch's position."""

    position: int
    epoch: int
    window: int
    epoch_position: int


class Sampler:
    """Which sample, as (shard, row), stands at each position of the stream."""

    def __init__(self, counts: np.ndarray, seed: int, window: int, keep: Keep | None = None, mark: tuple | None = None):
        """``counts``: samples of each shard. ``keep(epoch, shard)``: which of them an epoch has, all by default.

        ``mark``: what ``window_start`` said of an earlier position. With ``keep`` a position is found by counting from
        there on, from the start of the stream otherwise.
        """
        self.counts, self.seed, self.window, self.keep = np.asarray(counts, np.int64), seed, window, keep
        self.mark = WindowStart(*(mark or (0, 0, 0, 0)))
        self._make_caches()

    def _make_caches(self) -> None:
        self.size = int(self.counts.sum())
        self.windows = -(-len(self.counts) // self.window)
        self.starts = [self.mark]  # of the windows that have been counted, with ``keep``
        self._epoch = lru_cache(maxsize=4)(self._make_epoch)
        self._window = lru_cache(maxsize=4)(self._make_window)

    def __getstate__(self) -> dict:
        return {name: getattr(self, name) for name in ("counts", "seed", "window", "keep", "mark")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._make_caches()

    def samples(self, start: int, end: int) -> np.ndarray:
        """The samples at positions [start, end), int64 of shape (positions, 2): shard and row."""
        found = []
        while start < end:
            place = self.window_start(start)
            taken = self._window(place.epoch, place.window)[start - place.position :][: end - start]
            found.append(taken)
            start += len(taken)
        return np.concatenate(found)

    @property
    def window_size(self) -> int:
        """The most samples that a window may have."""
        return int(np.sort(self.counts)[-self.window :].sum())

    def replacement(self, position: int, attempt: int) -> np.ndarray:
        """(shard, row) of another sample for a position whose own is broken, from the same window."""
        place = self.window_start(position)
        rows = self._window(place.epoch, place.window)
        chosen = uniforms(self.seed, 1 + attempt, np.array([position]), 1)[0, 0]
        return rows[int(chosen * len(rows))]

    def window_start(self, position: int) -> WindowStart:
        """The window that a position is in, and where it starts."""
        if self.keep is None:
            epoch, at = divmod(position, self.size)
            starts = self._epoch(epoch)[1]
            window = bisect_right(starts, at) - 1
            return WindowStart(epoch * self.size + starts[window], epoch, window, epoch * self.size)
        if position < self.starts[0].position:
            self.starts = [WindowStart(0, 0, 0, 0)]
        while self.starts[-1].position <= position:
            # Windows are counted as they are reached: what an epoch has is known at its end.
            start, epoch, window, first = self.starts[-1]
            end = start + len(self._window(epoch, window))
            if window + 1 < self.windows:
                self.starts.append(WindowStart(end, epoch, window + 1, first))
            elif end == first:
                raise PipelineError(f"data.shards: epoch {epoch} has no samples; all are left out by their probability")
            else:
                self.starts.append(WindowStart(end, epoch + 1, 0, end))
        return self.starts[bisect_right(self.starts, position, key=lambda start: start.position) - 1]

    def _make_epoch(self, epoch: int) -> tuple[np.ndarray, list[int]]:
        """The shards of an epoch in order and, without ``keep``, where in it each window starts, with its end."""
        shards = np.random.default_rng([self.seed, epoch]).permutation(len(self.counts))
        sums = np.add.reduceat(self.counts[shards], np.arange(0, len(shards), self.window))
        return shards, [0, *np.cumsum(sums).tolist()]

    def _make_window(self, epoch: int, window: int) -> np.ndarray:
        shards = self._epoch(epoch)[0][window * self.window : (window + 1) * self.window]
        rows = [
            np.arange(self.counts[shard]) if self.keep is None else np.flatnonzero(self.keep(epoch, shard))
            for shard in shards
        ]
        samples = np.stack([np.repeat(shards, [len(r) for r in rows]), np.concatenate(rows)], 1)
        return np.random.default_rng([self.seed, epoch, 1 + window]).permutation(samples)
