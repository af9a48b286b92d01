"""Pools of which some pairs match nothing: by mode, and a random choice."""

import numpy as np
import pytest

from pipeline.balance.cap import Cutoffs
from pipeline.balance.counts import ListCounts
from pipeline.balance.draw import Draw
from pipeline.balance.pool import Pool
from pipeline.balance.spark import (
    count_entries,
    count_pairs,
    find_cutoffs,
)
from tests.balance.drawn import PAIRS, SIZES, counted, draw_of, drawn, hashed, kept_ids, with_draws
from tests.buckets.written import write_table


def without_entries(rows):
    """The rows, every third without entries, and every sixth without a list."""
    return [
        (pair_id, image, None if i % 6 == 0 else name, [] if i % 3 == 0 else entries)
        for i, (pair_id, image, name, entries) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def unmatched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unmatched") / "pool"
    return Pool(write_table(folder, with_draws(3, without_entries(PAIRS)), 6))


@pytest.mark.parametrize("mode", ["sample", "cap", "none"])
def test_pairs_without_entries_stay_where_nothing_is_balanced(local, unmatched, tmp_path, mode):
    counts = count_entries(local, unmatched, SIZES)
    with_some = [row for row in without_entries(PAIRS) if row[3]]
    assert counts.counts.tolist() == counted((row[2], row[3]) for row in with_some)
    _, table = drawn(local, unmatched, draw_of(local, unmatched, counts, 20, mode), tmp_path / "drawn")
    kept = kept_ids(table)
    left = {row[0] for row in without_entries(PAIRS) if not row[3]}
    assert left <= kept if mode == "none" else not left & kept
    assert kept - left if mode != "none" else len(kept) == len(PAIRS)
    if mode == "none":
        share = dict(zip(table["pair_id"].to_pylist(), table["keep_probability"].to_pylist(), strict=True))
        assert {share[pair_id] for pair_id in left} == {1.0}
        assert min(share.values()) < 0.5


@pytest.mark.parametrize("size", [1, 1000, 3999, 4000, 9000])
def test_a_random_choice_is_of_the_smallest_draws(local, unmatched, tmp_path, size):
    pairs = count_pairs(local, unmatched)
    assert pairs == len(PAIRS)
    counts = ListCounts(SIZES)
    cutoffs = find_cutoffs(local, unmatched, Cutoffs.start(np.array([pairs]), np.array([size])), None)
    draw = Draw("random", counts.starts, np.full(85, 0.25), cutoffs, share=0.25)
    _, table = drawn(local, unmatched, draw, tmp_path / "drawn")
    order = sorted((hashed(3, row[0]), row[0]) for row in PAIRS)
    assert kept_ids(table) == {pair_id for _, pair_id in order[:size]}
    assert set(table["keep_probability"].to_pylist()) == {0.25}
