"""How many pairs balancing keeps: the sum of the keep probabilities of the sample's pairs, with counts of the pool."""

from dataclasses import dataclass

import numpy as np

from pipeline.balance.counts import flat_ids
from pipeline.balance.groups import FACTORS, Own, factors, groups_of, own_of
from pipeline.balance.size import t_of_size
from pipeline.balance.thresholds import LEADER, keep_probability
from pipeline.buckets.hashing import hashes
from pipeline.entries.lists import EntryList
from pipeline.plan.groups import kept_shares, sizes
from pipeline.plan.texts import Pairs, shares
from pipeline.recipe import Balance


@dataclass(frozen=True)
class Chances:
    """``of_pair``: the probability to be drawn of each of the sample's pairs; ``t``: the threshold of each list."""

    of_pair: np.ndarray
    t: dict[str, float]


class Counted:
    """The matches of the sample's pairs, with how many pairs of the pool each entry has.

    ``others``: of each match, the pairs of the sample with that entry beside its own, less what near-duplicates take.
    """

    def __init__(self, pairs: Pairs, entries: dict[str, int]):
        """``entries``: how many each list has."""
        self.sizes, self.rate = dict(sorted(entries.items())), pairs.rate
        self.starts = dict(zip(self.sizes, np.cumsum([0, *self.sizes.values()])[:-1].tolist(), strict=True))
        rows = pairs.rows
        lists, found = rows["entry_list"].combine_chunks(), rows["entries"].combine_chunks()
        self.ids, self.offsets = flat_ids(lists, found, self.starts)
        self.left = np.repeat(pairs.kept, np.diff(self.offsets))
        total = np.bincount(self.ids, self.left, minlength=max(1, sum(entries.values())))
        each = total / np.maximum(1, np.bincount(self.ids, minlength=len(total)))
        self.others = np.maximum(0.0, total - each)[self.ids]
        self.of_list = np.searchsorted(np.array([*self.starts.values()]), self.ids, side="right") - 1

    def chances(self, limits: np.ndarray) -> np.ndarray:
        """The expected ``min(1, t / count)`` of each match; ``limits``: the ``t`` of each."""
        found = np.empty(len(self.ids))
        for number in range(len(self.sizes)):
            here = self.of_list == number
            if here.any():
                found[here] = kept_shares(self.others[here], self.rate, limits[here], 0.0, self.left[here])
        return found

    def tail_share(self, number: int, t: float) -> float:
        """The share of a list's matches that lies with entries of fewer than ``t``."""
        counts, matches = self._counts(number)
        return float(matches[counts < t].sum() / matches.sum()) if matches.sum() else 0.0

    def t_of_tail_share(self, number: int, share: float) -> float:
        """The ``t`` of a list with a tail share."""
        counts, matches = self._counts(number)
        if not matches.sum():
            return 1.0
        # Entries of one count follow one another, and the share is looked for where one of them ends.
        counts, of = np.unique(np.round(counts, 6), return_inverse=True)
        matches = np.bincount(of, matches) / self.rate
        entries = np.maximum(1.0, np.round(matches / counts))
        before, wanted = np.cumsum(matches) - matches, share * matches.sum()
        ended = np.clip(np.round((wanted - before) / np.maximum(matches, 1e-9) * entries), 1, entries)
        return float(max(1.0, counts[np.argmin(np.abs(before + ended * matches / entries - wanted))]))

    def _counts(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of pairs that a list's entries have, ascending, and the matches of entries with each."""
        here = self.of_list == number
        return sizes(self.others[here], self.rate, 0.0, self.left[here])


def drawn(pairs: Pairs, lists: dict[str, EntryList], balance: Balance) -> Chances:
    """What balancing makes of the pairs, near-duplicates and other texts of an image aside."""
    counted = Counted(pairs, {name: len(found.entries) for name, found in lists.items()})
    single = _single_texts(pairs) if balance.texts_per_image == "one" else 1.0
    own = own_of(balance, {name: lists[name].entries for name in counted.sizes}, "balance")

    def of_pair(t: dict[str, float]) -> np.ndarray:
        limits = np.array([t[name] for name in counted.sizes])[counted.of_list]
        limits = own.limits(limits, counted.ids)
        if balance.mode == "none":
            return np.ones(len(pairs.weight)) * single
        matched, at = counted.chances(limits), np.arange(len(counted.ids))
        if balance.mode == "cap":  # A pair has one draw for all of its entries.
            return _largest(matched, counted.offsets) * single
        share = keep_probability(matched, at, counted.offsets) * single
        return share * _capped(counted, own, share * pairs.weight * pairs.kept) if own.capped else share

    left = pairs.weight * pairs.kept
    most = int(1 + counted.others.max(initial=0) / counted.rate) + 1
    if balance.mode == "random":  # No entry counts.
        of_all = np.ones(len(left)) * single
        share = min(1.0, balance.size / max(1.0, float(left @ of_all)))
        return Chances(of_all * share, dict.fromkeys(counted.sizes, float(most)))
    if balance.size is not None:
        t = t_of_size(balance.size, most, lambda ts: np.array([of_pair(_all(counted, x)) @ left for x in ts]))
        return Chances(of_pair(_all(counted, t)), _all(counted, t))
    t = _thresholds(counted, balance)
    return Chances(of_pair(t), t)


def _largest(matched: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The largest of each row's matches; 0 for a row without any."""
    found, some = np.zeros(len(offsets) - 1), np.diff(offsets) > 0
    if some.any():
        found[some] = np.maximum.reduceat(matched, offsets[:-1][some])
    return found


def _capped(counted: Counted, own: Own, drawn: np.ndarray) -> np.ndarray:
    """The factor of each pair, so that of the pairs ``drawn`` no capped group is expected to be over its share."""
    groups = groups_of(own.bits, counted.ids, counted.offsets)
    kept = np.bincount(groups, drawn, 1 << len(own.capped))[:, None] * FACTORS
    at = factors(kept, [group.share for group in own.capped])
    every = np.append(FACTORS[at], 1.0)
    combinations = [[group for group in range(len(at)) if groups >> group & 1] for groups in range(len(kept))]
    return np.array([every[[*of, -1]].min() for of in combinations])[groups]


def _thresholds(counted: Counted, balance: Balance) -> dict[str, float]:
    """The ``t`` of each list: given, of the recipe's tail share, or of the leader's."""
    names = list(counted.sizes)
    if balance.tail_share is not None:
        return {name: counted.t_of_tail_share(number, balance.tail_share) for number, name in enumerate(names)}
    if isinstance(balance.t, dict):
        given = {name: float(t) for name, t in balance.t.items() if name in counted.sizes}
        first = LEADER
    else:
        first = LEADER if LEADER in names else names[0]
        given = {first: float(balance.t)}
    share = counted.tail_share(names.index(first), given[first]) if first in given else 0.0
    return {
        name: given[name] if name in given else counted.t_of_tail_share(number, share)
        for number, name in enumerate(names)
    }


def _all(counted: Counted, t: float) -> dict[str, float]:
    """The thresholds of all lists for one of the leader."""
    return _thresholds(counted, Balance(t=t))


def _single_texts(pairs: Pairs) -> np.ndarray:
    """The chance of each pair to be the one text of its image that may be drawn."""
    images = hashes(pairs.rows["url"].combine_chunks())
    return shares(images, pairs.rows["piece"].to_numpy(), pairs.near, pairs.rate, 1.0)
