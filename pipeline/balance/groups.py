"""Groups of terms in a recipe: entries with a ``t`` of their own, and groups whose share of the set is capped.

A pair with an entry of a capped group stays if its draw is below f * p, p being its keep probability and f the smallest
factor of its groups. So a set with caps is part of the set without. Factors are numbers of a grid: the pairs that would
be drawn are counted by the groups that they name and the first place of the grid that keeps them, and factors are
looked for in these counts. As they are exact, so are the shares of the set.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.groups.terms import groups_file, load_groups, plain
from pipeline.recipe import Balance, Group, Rebalance
from pipeline.recipe_file import found_path, local_path

# The factors that are tried: 0, and so many from each power of two to the next, 2^-20 to 1.
STEPS, OCTAVES = 512, 20
FACTORS = np.concatenate(
    [[0.0], *(2.0**-octave * (1 + np.arange(STEPS) / STEPS) for octave in range(OCTAVES, 0, -1)), [1.0]]
)
LAST = len(FACTORS) - 1
ROUNDS = 100


@dataclass(frozen=True)
class Own:
    """What entries have of their own, flat: ``t`` (NaN for that of the list), and the capped groups they are of.

    ``bits``: bit i for the group of ``capped[i]``. ``notes``: on the recipe's domain and groups.
    """

    t: np.ndarray
    bits: np.ndarray
    capped: list[Group] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def limits(self, limits: np.ndarray, ids: np.ndarray | slice = slice(None)) -> np.ndarray:
        """The ``t`` of some entries, whose lists have ``limits``."""
        return np.where(np.isnan(self.t[ids]), limits, self.t[ids])


def own_of(balance: Balance | Rebalance, lists: dict[str, pa.Array], key: str) -> Own:
    """What the recipe's section ``key`` says of single entries of the lists; of two that give a ``t`` the later."""
    size = sum(map(len, lists.values()))
    found = Own(np.full(size, np.nan), np.zeros(size, np.int64), [], {})
    if balance.domain is not None:
        entries = load_list("domain", local_path(balance.domain.entries)).entries
        inside = _inside(lists, entries)
        found.t[inside] = balance.domain.t
        found.notes["domain"] = {"t": balance.domain.t, "entries": len(entries), "in_lists": int(inside.sum())}
    if balance.groups:
        found.notes["groups"] = []
        words = {name: plain(entries) for name, entries in lists.items()}
        for place, group in enumerate(balance.groups):
            terms = pa.array(terms_of(group, f"{key}.groups.{place}"), pa.string())
            inside = _inside(words, terms)
            if group.t is not None:
                found.t[inside] = group.t
            else:
                found.bits[inside] |= 1 << len(found.capped)
                found.capped.append(group)
            missing = ~np.any(
                [pc.is_in(terms, value_set=entries).to_numpy(False) for entries in words.values()], axis=0
            )
            found.notes["groups"].append(
                group.model_dump(exclude_none=True)
                | {"entries": int(inside.sum()), "terms_without_entry": int(missing.sum())}
            )
    return found


def _inside(lists: dict[str, pa.Array], wanted: pa.Array) -> np.ndarray:
    """Which entries of all lists, flat, are wanted."""
    inside = [pc.is_in(entries, value_set=wanted).to_numpy(zero_copy_only=False) for entries in lists.values()]
    return np.concatenate(inside)


def terms_of(group: Group, where: str) -> list[str]:
    """The terms of a recipe's group. Raises ``UsageError`` where its file, or the group in it, is not there."""
    found = load_groups(group.terms, f"{where}.terms: {group.terms}").terms
    if group.group not in found:
        raise UsageError(f"{where}.group: {group.terms} has no group {group.group!r}; allowed: {', '.join(found)}")
    return found[group.group]


def check_own(key: str, balance: Balance | Rebalance) -> None:
    """Raises ``UsageError`` where a file of a domain or group is not as it must be; ``key``: of the section."""
    if balance.domain and not local_path(balance.domain.entries).is_file():
        raise UsageError(f"{key}.domain.entries: {balance.domain.entries}: no such file")
    for place, group in enumerate(balance.groups):
        terms_of(group, f"{key}.groups.{place}")


def own_files(balance: Balance | Rebalance) -> list:
    """Name, size and time of the files of a domain's entries and of groups."""
    paths = [balance.domain.entries] if balance.domain else []
    paths += [str(groups_file(group.terms)) for group in balance.groups]
    return [line for path in dict.fromkeys(paths) for line in storage.list_files(found_path(path))]


def depends_on(balance: Balance | Rebalance) -> dict[str, Any]:
    """A section as its tables depend on it; without groups as before there were any."""
    return balance.model_dump(exclude=set() if balance.groups else {"groups"})


def groups_of(bits: np.ndarray, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The capped groups of each row, as bits: those of its entries (flat ids and offsets)."""
    found, of_match = np.zeros(len(offsets) - 1, np.int64), bits[ids]
    at = np.flatnonzero(of_match)
    np.bitwise_or.at(found, np.searchsorted(offsets, at, side="right") - 1, of_match[at])
    return found


def smallest(factor: np.ndarray, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The factor of each row: the smallest of its entries', 1 without any."""
    found, of_match = np.ones(len(offsets) - 1), factor[ids]
    at = np.flatnonzero(of_match < 1)
    np.minimum.at(found, np.searchsorted(offsets, at, side="right") - 1, of_match[at])
    return found


def places(draw: np.ndarray, share: np.ndarray) -> np.ndarray:
    """For pairs that are drawn, the first place in ``FACTORS`` whose factor keeps them: draw < share * factor."""
    found = np.searchsorted(FACTORS, draw / share, side="right")
    found += draw >= share * FACTORS[np.minimum(found, LAST)]  # where the quotient was rounded
    return found - (draw < share * FACTORS[found - 1])


def factors(kept: np.ndarray, caps: list[float]) -> np.ndarray:
    """The place in ``FACTORS`` of each group, so that no group's share of what is kept is over its cap.

    ``kept[groups, place]``: of the pairs that name these groups (bits) what a factor of that place keeps. Each group
    in turn gets the largest factor that fits the others' until none changes; then they are only lowered.
    """
    there = np.flatnonzero(kept[:, -1])
    kept, rows = kept[there], np.arange(len(there))
    of_group = [(there >> group & 1).astype(bool) for group in range(len(caps))]
    at = np.full(len(caps), LAST)

    def fits(group: int, place: int) -> bool:
        left = kept[rows, _limits(np.where(np.arange(len(at)) == group, place, at), of_group, len(rows))]
        named, every = left[of_group[group]].sum(), left.sum()
        return not named or named / every <= caps[group]

    def largest(group: int, most: int) -> int:
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(group, middle) else (low, middle - 1)
        return low

    for _ in range(ROUNDS):
        before = at.copy()
        for group in range(len(caps)):
            at[group] = largest(group, LAST)
        if (at == before).all():
            break
    while not all(fits(group, at[group]) for group in range(len(caps))):
        for group in range(len(caps)):
            at[group] = largest(group, at[group])
    return at


def _limits(at: np.ndarray, of_group: list[np.ndarray], rows: int) -> np.ndarray:
    """The place that each combination of groups has: the lowest of its groups'."""
    found = np.full(rows, LAST)
    for place, of in zip(at, of_group, strict=True):
        found[of] = np.minimum(found[of], place)
    return found


def of_entries(own: Own, at: np.ndarray) -> np.ndarray:
    """The factor of each entry, flat: the smallest of its groups', 1 without any."""
    found = np.ones(len(own.bits))
    for group, factor in enumerate(FACTORS[at]):
        inside = (own.bits >> group & 1).astype(bool)
        found[inside] = np.minimum(found[inside], factor)
    return found


def named(kept: np.ndarray, at: np.ndarray) -> tuple[list[int], int]:
    """How many pairs of each group the factors at places keep, and how many in all; ``kept``: as for ``factors``."""
    combinations = np.arange(len(kept))
    of_group = [(combinations >> group & 1).astype(bool) for group in range(len(at))]
    left = kept[combinations, _limits(at, of_group, len(kept))]
    return [left[of].sum().item() for of in of_group], left.sum().item()
