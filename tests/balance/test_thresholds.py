import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.balance.counts import ListCounts
from pipeline.balance.size import grid_thresholds, t_of_size
from pipeline.balance.thresholds import (
    entry_limits,
    followed,
    keep_probability,
    probabilities,
    t_of_tail_share,
    tail_share,
    thresholds,
)
from pipeline.errors import UsageError
from pipeline.recipe import Balance, Rebalance


def counts(**lists):
    found = ListCounts({name: len(values) for name, values in lists.items()})
    for name, values in lists.items():
        found.of_list(name)[:] = values
    return found


def test_tail_share():
    values = np.array([0, 1, 2, 3, 4])
    assert tail_share(values, 3) == 0.3
    assert tail_share(values, 1) == 0
    assert tail_share(values, 5) == 1
    assert tail_share(np.zeros(3, np.int64), 5) == 0


@given(values=st.lists(st.integers(0, 50), min_size=1, max_size=20), share=st.floats(0, 1))
def test_t_of_tail_share_by_the_rule(values, share):
    ascending, total, best = sorted(values), sum(values), None
    if total:
        shares = [sum(ascending[: i + 1]) / total for i in range(len(values))]
        distance = min(abs(s - share) for s in shares)
        best = ascending[next(i for i, s in enumerate(shares) if abs(s - share) == distance)]
    assert t_of_tail_share(np.array(values), share) == max(1, best or 0)


def test_unnamed_lists_follow_english():
    found = counts(en=[10, 20, 70], de=[1, 2, 3, 4], fr=[0, 0])
    assert thresholds(found, Balance(t=20.0)) == {"de": 1, "en": 20, "fr": 1}
    assert thresholds(found, Balance(t={"en": 71.0, "de": 7.0})) == {"de": 7, "en": 71, "fr": 1}
    assert thresholds(found, Balance(tail_share=0.3)) == {"de": 2, "en": 20, "fr": 1}
    assert followed(counts(xx=[5, 6]), {"xx": 5.5}) == {"xx": 5.5}


@given(
    lists=st.dictionaries(st.sampled_from(["en", "de", "fr"]), st.lists(st.integers(0, 9), min_size=1), min_size=1),
    ts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_a_grid_of_thresholds_is_each_of_them_followed(lists, ts):
    found = counts(**{"en": [1], **lists})
    if not found.of_list("en").any():
        found.of_list("en")[:] = 1
    rows = [list(followed(found, {"en": float(t)}).values()) for t in ts]
    assert grid_thresholds(found, np.array(ts, float)).tolist() == rows


@pytest.mark.parametrize(
    ("lists", "balance", "said"),
    [
        (
            {"en": [0, 0], "de": [1, 2], "fr": [0]},
            Balance(t=20.0),
            "balance.t: the list en.*has no pairs; .* one for de$",
        ),
        ({"en": [0], "de": [1], "fr": [3]}, Balance(t={"en": 5.0, "de": 2.0}), "no pairs; .* map with one for fr$"),
        ({"en": [0], "de": [1]}, Rebalance(t=20.0), "rebalance.t: the list en"),
        ({"ab": [0], "de": [1]}, Balance(t=20.0), "the list ab.* has no pairs"),
        ({"ab": [3], "de": [1]}, Balance(t={"de": 2.0}), "the list ab.* has no t; .* one for ab"),
    ],
)
def test_no_list_follows_one_that_has_no_pairs(lists, balance, said):
    with pytest.raises(UsageError, match=said) as error:
        thresholds(counts(**lists), balance)
    assert "\n" not in str(error.value)


def test_a_leader_without_pairs_where_nothing_follows_it():
    found = counts(en=[0, 0], de=[1, 2], fr=[0])
    assert thresholds(found, Balance(t={"en": 5.0, "de": 2.0})) == {"de": 2, "en": 5, "fr": 1}
    assert thresholds(found, Balance(tail_share=0.3)) == {"de": 1, "en": 1, "fr": 1}
    assert thresholds(counts(en=[0], de=[0]), Balance(t=20.0)) == {"de": 1, "en": 20}


def test_probability_and_keep():
    found = counts(en=[10, 20, 0], de=[4])
    probability = probabilities(found, entry_limits(found, {"en": 5, "de": 4}))
    assert probability.tolist() == [1.0, 0.5, 0.25, 1.0]
    keep = keep_probability(probability, np.array([1, 2, 2, 3]), np.array([0, 2, 3, 4]))
    assert keep.tolist() == [1 - 0.5 * 0.75, 0.25, 1.0]
    assert keep_probability(probability, np.zeros(0, int), np.array([0])).tolist() == []


@pytest.mark.parametrize("most", [1, 2, 47, 48, 49, 1000, 3_000_000])
def test_t_of_size_is_the_nearest(most):
    def expected(ts):
        return np.sqrt(ts) * 100

    every = np.arange(1, min(most, 5000) + 1)
    for wanted in (1, 99, 150, 333, 1000, 4242):
        t = t_of_size(wanted, most, expected)
        best = every[np.argmin(np.abs(expected(every) - wanted))]
        if best < 5000:
            assert t == best
