"""The refined histograms against a sort of each entry's pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.cap import Cutoffs, kept_rows, keys
from pipeline.buckets.totals import Totals


def brute_force(rows, limits):
    """rows: (draw, pair_id, entries); the rows that are among the first ``limit`` of any of their entries."""
    kept = set()
    for entry, limit in enumerate(limits):
        of_entry = sorted((draw, pair_id) for draw, pair_id, entries in rows if entry in entries)
        kept.update(pair_id for _, pair_id in of_entry[: int(limit)])
    return kept


def by_histograms(rows, limits, parts=3):
    ids = np.array([e for _, _, entries in rows for e in entries], np.int64)
    offsets = np.cumsum([0, *(len(entries) for _, _, entries in rows)])
    draws, pair_ids = (np.array([row[i] for row in rows]) for i in (0, 1))
    high, low = (np.repeat(k, np.diff(offsets)) for k in keys(draws, pair_ids))
    cutoffs = Cutoffs.start(np.bincount(ids, minlength=len(limits)), np.asarray(limits, float))
    rounds = 0
    while not cutoffs.done():
        part = np.arange(len(ids)) % parts
        counted, place = Totals(), cutoffs.places()
        for p in range(parts):
            counted.count(*cutoffs.cells(place, ids[part == p], high[part == p], low[part == p]))
        cutoffs.refine(*cutoffs.steps(*counted.together()))
        rounds += 1
    return set(pair_ids[kept_rows(cutoffs.keeps(ids, high, low), offsets)].tolist()), rounds


draws = st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, 0.25, 0.5, 1 - 2.0**-53])).map(
    lambda d: int(d * 2**53) * 2.0**-53
)
row = st.tuples(draws, st.sets(st.integers(0, 3), min_size=1))


@settings(max_examples=300, deadline=None)
@given(
    given=st.dictionaries(st.integers(-(2**63), 2**63 - 1), row, min_size=1, max_size=30),
    limits=st.lists(st.sampled_from([0, 1, 2, 3, 5, 8, 2.5]), min_size=4, max_size=4),
)
def test_cutoffs_are_those_of_a_sort(given, limits):
    rows = [(draw, pair_id, sorted(entries)) for pair_id, (draw, entries) in given.items()]
    assert by_histograms(rows, limits)[0] == brute_force(rows, limits)


def test_ties_are_decided_by_pair_id():
    rows = [(0.5, pair_id, [0]) for pair_id in (7, -5, 2**62, -(2**63), 0, 1)]
    assert by_histograms(rows, [3])[0] == {-(2**63), -5, 0}


@pytest.mark.parametrize("count", [1000, 100_000])
def test_few_rounds(count):
    rng = np.random.default_rng(0)
    rows = [(float(d), int(i), [0]) for i, d in enumerate(rng.integers(0, 2**53, count) * 2.0**-53)]
    kept, rounds = by_histograms(rows, [count // 3])
    assert len(kept) == count // 3
    assert rounds <= 5
