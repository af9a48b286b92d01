"""How large the groups of a whole are, whose members were seen in a sample: repeats, near-duplicates, entries.

A row of the sample that shares its group with ``others`` is one of M in the whole, and each of the M - 1 was seen with
the sample's rate. How often each M occurs among the rows is fitted to all rows at once (a mixture of binomials, by
expectation and maximisation), and what is wanted of M is averaged over what M may be in view of ``others``. A group's
``others`` over the rate alone would make a group of each chance repeat, and of each single row one that stays.
"""

import numpy as np
from scipy.special import gammaln

# Groups of which more were seen are as large as that says; smaller ones are fitted.
FITTED = 48
EXACT, RATIO = 32, 1.12
ROUNDS, SETTLED = 3000, 1e-7
# The share of rows that are alone in their group, before anything was seen.
ALONE = 0.95


def kept_shares(
    others: np.ndarray, rate: float, limits: np.ndarray | float, alone: float = ALONE, weights: np.ndarray | None = None
) -> np.ndarray:
    """The expected ``min(1, limit / M)`` of each row: the share of its group that stays where ``limit`` of M do.

    ``limits``: of each row, or of all. ``alone``: how many rows are alone, as far as the sample cannot tell.
    ``weights``: what each row counts for in the fit.
    """
    limits = np.broadcast_to(np.asarray(limits, np.float64), others.shape)
    found = np.minimum(1.0, limits / (1 + others / rate))
    few, seen = _few(others, rate)
    if few.any():
        grid, after, _ = _fitted(seen[few], rate, alone, None if weights is None else weights[few])
        for limit in np.unique(limits[few]):
            here = few & (limits == limit)
            found[here] = (after @ np.minimum(1.0, limit / grid))[seen[here]]
    return found


def sizes(others: np.ndarray, rate: float, alone: float, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sizes of the rows' groups, ascending, and the weight of the rows with each, as in ``kept_shares``."""
    found, mass = 1 + others / rate, weights.astype(np.float64)
    few, seen = _few(others, rate)
    if few.any():
        grid, after, counted = _fitted(seen[few], rate, alone, weights[few])
        found, mass = np.concatenate([found[~few], grid]), np.concatenate([mass[~few], counted @ after])
    order = np.argsort(found)
    return found[order], mass[order]


def _few(others: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have so few others that the size of their group is fitted, and the others as whole numbers."""
    seen = np.rint(others).astype(np.int64)
    return (seen <= FITTED) & (rate < 1), seen


def _fitted(
    seen: np.ndarray, rate: float, alone: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes that groups may have, the chance of each by the others that were seen, and the rows by those."""
    grid = _grid(rate)
    chance = _chances(grid, rate)
    counted = np.bincount(seen, weights, minlength=FITTED + 1)
    after = _fit(chance, counted, _start(grid, alone)) * chance
    return grid, after / np.maximum(after.sum(axis=1, keepdims=True), 1e-300), counted


def _grid(rate: float) -> np.ndarray:
    """The sizes that a group may have: each up to ``EXACT``, then in steps of a ratio, beyond what is fitted."""
    most = 2 * FITTED / rate + EXACT
    steps = np.arange(1, int(np.log(most / EXACT) / np.log(RATIO)) + 2)
    return np.concatenate([np.arange(1, EXACT + 1), np.rint(EXACT * RATIO**steps)])


def _chances(grid: np.ndarray, rate: float) -> np.ndarray:
    """The probability to see so many others (rows) of a group of each size (columns)."""
    seen, rest = np.arange(FITTED + 1)[:, None], grid[None, :] - 1
    possible = seen <= rest
    left = np.where(possible, rest - seen, 0)
    ways = gammaln(rest + 1) - gammaln(seen + 1) - gammaln(left + 1)
    return np.where(possible, np.exp(ways + seen * np.log(rate) + left * np.log1p(-rate)), 0.0)


def _start(grid: np.ndarray, alone: float) -> np.ndarray:
    """What is taken for likely before anything was seen: some rows alone, the others evenly by the ratio of sizes."""
    width = np.diff(grid, append=grid[-1] * RATIO) / grid
    width[0] = 0
    share = width / width.sum() * (1 - alone)
    share[0] = alone
    return share


def _fit(chance: np.ndarray, counted: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The share of rows in groups of each size that makes what was counted most likely, from a start."""
    total = counted.sum()
    for _ in range(ROUNDS):
        before = share
        share = share * (chance.T @ (counted / np.maximum(chance @ share, 1e-300))) / total
        if np.abs(share - before).sum() < SETTLED:
            break
    return share
