"""The order of samples: a pure function of the seed, whatever the number of workers and processes.

The stream of samples goes through the set again and again. In each epoch the shards are permuted, then the samples
within windows of ``window`` shards, so that memory is that of a window. A batch is ``batch`` consecutive samples of the
stream; it may reach into the next epoch, whose first samples then are such that none is in the batch twice.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
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


def _codes(samples: np.ndarray) -> np.ndarray:
    return (samples[:, 0] << 40) + samples[:, 1]


class WindowStart(NamedTuple):
    """Where a window starts: its position in the stream, its epoch, its number in that, the epoch's position."""

    position: int
    epoch: int
    window: int
    epoch_position: int


class Sampler:
    """Which sample, as (shard, row), stands at each position of the stream."""

    def __init__(
        self,
        counts: np.ndarray,
        seed: int,
        window: int,
        keep: Keep | None = None,
        mark: tuple | None = None,
        batch: int = 1,
    ):
        """``counts``: samples of each shard. ``keep(epoch, shard)``: which of them an epoch has, all by default.

        ``batch``: no sample is twice among so many, from a multiple of it on. An epoch with fewer is an error.
        ``mark``: what ``window_start`` said of an earlier position. With ``keep`` a position is found by counting from
        there on, from the start of the stream otherwise.
        """
        self.counts, self.seed, self.window, self.keep = np.asarray(counts, np.int64), seed, window, keep
        self.batch = batch
        self.mark = WindowStart(*(mark or (0, 0, 0, 0)))
        self._make_caches()

    def _make_caches(self) -> None:
        self.size = int(self.counts.sum())
        self.windows = -(-len(self.counts) // self.window)
        self.starts = [self.mark]  # of the windows that have been counted, with ``keep``
        self._epoch = lru_cache(maxsize=4)(self._make_epoch)
        self._window = lru_cache(maxsize=4)(self._make_window)
        self._unused = lru_cache(maxsize=4)(self._find_unused)
        self.heads: dict[int, np.ndarray] = {}  # of epochs whose first samples were put into another order

    def __getstate__(self) -> dict:
        return {name: getattr(self, name) for name in ("counts", "seed", "window", "keep", "mark", "batch")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._make_caches()

    def samples(self, start: int, end: int) -> np.ndarray:
        """The samples at positions [start, end), int64 of shape (positions, 2): shard and row."""
        found = []
        while start < end:
            place = self.window_start(start)
            head, at = self._head(place.epoch, place.epoch_position), start - place.epoch_position
            rows = head[at:] if at < len(head) else self._window(place.epoch, place.window)[start - place.position :]
            taken = rows[: end - start]
            found.append(taken)
            start += len(taken)
        return np.concatenate(found)

    @property
    def window_size(self) -> int:
        """The most samples that a window may have."""
        return int(np.sort(self.counts)[-self.window :].sum())

    def replacements(self, position: int) -> Iterator[np.ndarray]:
        """(shard, row) of samples for a position whose own is broken, its window's first.

        None is in the position's batch, and none among the replacements of another of its positions.
        """
        first = position - position % self.batch
        epoch, last = self.window_start(first).epoch, self.windows - 1
        own = self.window_start(position)
        start = own.window if own.epoch == epoch else last
        for number in range(self.windows):
            yield from self._unused(epoch, (start + number) % self.windows, first)[position - first :: self.batch]

    def _find_unused(self, epoch: int, window: int, first: int) -> np.ndarray:
        """The samples of a window that are not in the batch that starts at a position."""
        rows = self._window(epoch, window)
        return rows[~np.isin(_codes(rows), _codes(self.samples(first, first + self.batch)))]

    def _head(self, epoch: int, position: int) -> np.ndarray:
        """The first samples of an epoch that starts at a position, where a batch reaches into it from the one before.

        They are the epoch's own, in its order, but those that the batch has already come after those that it has not.
        Only in an epoch of fewer than two batches is the end, which the next one looks at, one of these.
        """
        missing = []
        while epoch not in self.heads:
            missing.append((epoch, position))
            before = self._end_of(epoch - 1) if position % self.batch else None
            if before is None or len(before) >= 2 * self.batch:
                break
            epoch, position = epoch - 1, position - len(before)
        for number, start in reversed(missing):
            self.heads[number] = self._make_head(number, start)
        epoch = missing[0][0] if missing else epoch
        self.heads = {number: head for number, head in self.heads.items() if abs(number - epoch) < 4}
        return self.heads[epoch]

    def _make_head(self, epoch: int, position: int) -> np.ndarray:
        over = position % self.batch
        if not over:
            return np.empty((0, 2), np.int64)
        before = self._end_of(epoch - 1)
        if len(before) < 2 * self.batch:  # all of it
            head = self.heads[epoch - 1]
            before = np.concatenate([head, before[len(head) :]])
        there, found = _codes(before[-over:]), []
        for window in range(self.windows):
            found.append(self._window(epoch, window))
            rows = np.concatenate(found)
            fresh = ~np.isin(_codes(rows), there)
            if fresh.sum() >= self.batch - over:
                break
        end = int(np.flatnonzero(np.cumsum(fresh) == self.batch - over)[0]) + 1
        rows, fresh = rows[:end], fresh[:end]
        return np.concatenate([rows[fresh], rows[~fresh]])

    def _end_of(self, epoch: int) -> np.ndarray:
        """The last samples of an epoch by its own order: two batches or more, or all."""
        found, size = [], 0
        for window in reversed(range(self.windows)):
            found.append(self._window(epoch, window))
            size += len(found[-1])
            if size >= 2 * self.batch:
                break
        return np.concatenate(found[::-1])

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
            elif end - first < self.batch:
                raise PipelineError(
                    f"data.shards: epoch {epoch} has {end - first or 'no'} samples, by their probability; "
                    f"batch {self.batch:,} needs as many at least"
                )
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
