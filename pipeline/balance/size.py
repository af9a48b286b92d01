"""The size that a threshold gives, and the threshold that gives a size.

The expected size of a set is the sum of its pairs' keep probabilities. Of a grid of thresholds all are summed in one
pass over the matches; a search narrows the grid around the wanted size until it has the nearest whole ``t``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.balance.counts import ListCounts
from pipeline.balance.groups import FACTORS, Own, factors, groups_of, named
from pipeline.balance.thresholds import followed, keep_probability, leader, tail_share, ts_of_tail_shares

GRID = 48
Expected = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class WhatIf:
    """What a ``t`` gives: expected pairs, the leader's tail share, entries over their threshold, every threshold."""

    t: float
    size: float
    tail_share: float
    entries_at_cap: int
    thresholds: dict[str, float]


def grid_thresholds(counts: ListCounts, ts: np.ndarray) -> np.ndarray:
    """The thresholds of all lists (columns, in order) for each ``t`` of the leader (rows)."""
    first = leader(counts)
    followed(counts, {first: 1.0})  # Ends here where the others cannot follow.
    shares = [tail_share(counts.of_list(first), float(t)) for t in ts]
    columns = [ts if name == first else ts_of_tail_shares(counts.of_list(name), shares) for name in counts.sizes]
    return np.array(columns, np.float64).T


def keep_sums(
    counts: np.ndarray,
    limits: np.ndarray,
    ids: np.ndarray,
    offsets: np.ndarray,
    of_list: np.ndarray,
    weights: np.ndarray | None = None,
    own: Own | None = None,
) -> np.ndarray:
    """The summed keep probability of a batch for each row of ``limits`` (thresholds by list).

    ``counts`` and ``ids`` are flat over the lists; ``of_list`` is the list's number for each match; ``weights``: what
    each row stands for, 1 by default. With the ``own`` of entries: a column for each combination of capped groups.
    """
    columns = None if own is None else 1 << len(own.capped)
    if len(offsets) < 2:
        return np.zeros(len(limits) if own is None else (len(limits), columns))
    share, matches = 1.0 / counts[ids], np.arange(len(ids))
    of_match = (row[of_list] if own is None else own.limits(row[of_list], ids) for row in limits)
    kept = [keep_probability(np.minimum(1.0, row * share), matches, offsets) for row in of_match]
    if own is None:
        return np.array([row.sum() if weights is None else row @ weights for row in kept])
    groups, each = groups_of(own.bits, ids, offsets), 1.0 if weights is None else weights
    return np.array([np.bincount(groups, row * each, columns) for row in kept])


def capped_sizes(sums: np.ndarray, own: Own) -> np.ndarray:
    """The expected sizes of ``keep_sums`` by capped groups, with factors by which their shares are expected to fit."""
    caps = [group.share for group in own.capped]
    kept = (row[:, None] * FACTORS for row in sums)
    return np.array([named(of_row, factors(of_row, caps))[1] for of_row in kept])


def log_grid(low: float, high: float, points: int) -> np.ndarray:
    """At most ``points`` whole thresholds from ``low`` to ``high``, evenly spaced in ratio, each once."""
    low, high = max(1.0, low), max(1.0, high)
    return np.unique(np.round(np.geomspace(low, high, points))).astype(np.float64)


def t_of_size(wanted: int, most: int, expected: Expected) -> float:
    """The whole ``t`` in 1..``most`` whose expected size is nearest to ``wanted`` (the smaller of equals).

    ``expected`` gives the expected sizes of an array of thresholds in one pass; sizes grow with ``t``.
    """
    low, high = 1.0, float(max(1, most))
    while True:
        grid = log_grid(low, high, GRID)
        sizes = expected(grid)
        place = int(np.searchsorted(sizes, wanted))
        below, above = max(place - 1, 0), min(place, len(grid) - 1)
        if grid[above] - grid[below] <= 1 or len(grid) <= 2:
            nearest = below if wanted - sizes[below] <= sizes[above] - wanted else above
            return float(grid[nearest])
        low, high = grid[below], grid[above]


def what_if(counts: ListCounts, ts: np.ndarray, expected: Expected) -> list[WhatIf]:
    """What each ``t`` of the leader would give; ``expected`` is called once."""
    limits, sizes = grid_thresholds(counts, ts), expected(ts)
    first, names = leader(counts), list(counts.sizes)
    return [
        WhatIf(
            t=float(t),
            size=float(size),
            tail_share=tail_share(counts.of_list(first), t),
            entries_at_cap=int(
                sum((counts.of_list(name) > limit).sum() for name, limit in zip(names, row, strict=True))
            ),
            thresholds=dict(zip(names, map(float, row), strict=True)),
        )
        for t, size, row in zip(ts, sizes, limits, strict=True)
    ]
