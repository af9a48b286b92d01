"""Thresholds: how many pairs an entry may expect to keep, ``t``, for every list.

A ``t`` is given, or comes from a tail share p, the share of all matches that lies with entries of fewer than ``t``
matches. Lists that are not named follow English's p (Chuang et al. 2025, "Meta CLIP 2", section 3.2).
"""

import numpy as np

from pipeline.balance.counts import ListCounts
from pipeline.compiled import compiled
from pipeline.errors import UsageError
from pipeline.recipe import Balance, Rebalance

LEADER = "en"


def tail_share(counts: np.ndarray, t: float) -> float:
    """The share of matches of entries with fewer than ``t`` of them; 0 where there is none."""
    total = counts.sum()
    return float(counts[counts < t].sum() / total) if total else 0.0


def t_of_tail_share(counts: np.ndarray, share: float) -> float:
    """The ``t`` of a list whose tail share is nearest to ``share``: the first such count, ascending, at least 1."""
    return ts_of_tail_shares(counts, [share])[0]


def ts_of_tail_shares(counts: np.ndarray, shares: list[float]) -> list[float]:
    """``t_of_tail_share`` of each of several shares."""
    ascending = np.sort(counts)
    total = ascending.sum()
    if not total:
        return [1.0] * len(shares)
    cumulative = np.cumsum(ascending) / total
    return [float(max(1, ascending[np.argmin(np.abs(cumulative - share))])) for share in shares]


def thresholds(counts: ListCounts, balance: Balance | Rebalance) -> dict[str, float]:
    """The ``t`` of every list by the recipe's ``t`` or ``tail_share`` (``size`` is turned into a ``t`` before).

    Raises ``UsageError`` as ``followed`` does.
    """
    if balance.tail_share is not None:
        return {name: t_of_tail_share(counts.of_list(name), balance.tail_share) for name in counts.sizes}
    if isinstance(balance.t, dict):
        return followed(counts, balance.t, key_of(balance))
    return followed(counts, {leader(counts): float(balance.t)}, key_of(balance))


def key_of(balance: Balance | Rebalance) -> str:
    """The key of a recipe that a section is under."""
    return "rebalance" if isinstance(balance, Rebalance) else "balance"


def leader(counts: ListCounts) -> str:
    """The list that a single ``t`` is for: English, or the only one."""
    return LEADER if LEADER in counts.sizes else next(iter(counts.sizes))


def followed(counts: ListCounts, given: dict[str, float], key: str = "balance") -> dict[str, float]:
    """The given thresholds, and for each list without one that of the leader's tail share.

    Raises ``UsageError`` where there is no such share: the leader has no ``t``, or no pairs, while lists that should
    follow it have some. ``key`` is what the error names.
    """
    found = {name: float(given[name]) for name in counts.sizes if name in given}
    first = leader(counts)
    followers = [name for name in counts.sizes if name not in given]
    if matched := [name for name in followers if counts.of_list(name).any()]:
        why = "has no t" if first not in given else None if counts.of_list(first).any() else "has no pairs"
        if why:
            raise UsageError(
                f"{key}.t: the list {first}, whose tail share the lists without a t follow, {why}; "
                f"give {key}.t as a map with one for {', '.join(matched)}"
            )
    share = tail_share(counts.of_list(first), found.get(first, 1.0))
    found |= {name: t_of_tail_share(counts.of_list(name), share) for name in followers}
    return {name: found[name] for name in counts.sizes}


def entry_limits(counts: ListCounts, t: dict[str, float]) -> np.ndarray:
    """The ``t`` of every entry's list, flat."""
    return np.repeat([t[name] for name in counts.sizes], list(counts.sizes.values()))


def probabilities(counts: ListCounts, limits: np.ndarray) -> np.ndarray:
    """``min(1, t / count)`` of every entry, flat, ``t`` being its limit; 1 for an entry that nothing matched."""
    return np.minimum(1.0, limits / np.maximum(counts.counts, 1))


def keep_probability(probability: np.ndarray, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """``1 - prod(1 - probability)`` over each row's entries (flat ids and offsets); 0 for a row without any."""
    found = np.empty(max(0, len(offsets) - 1))
    multiply_rows(probability, ids, offsets, found)
    return found


@compiled
def multiply_rows(probability, ids, offsets, found):
    """Writes the keep probability of each row; multiplied from left to right, so that its bits are always the same."""
    for row in range(len(found)):
        gone = 1.0
        for at in range(offsets[row], offsets[row + 1]):
            gone *= 1.0 - probability[ids[at]]
        found[row] = 1.0 - gone
