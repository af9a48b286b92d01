"""Groups of known sizes, of which a sample is seen: how much stays where some of each group do."""

import numpy as np
import pytest

from pipeline.plan.groups import kept_shares

GROUPS = {
    "each alone": [(1, 100_000)],
    "a tenth in pairs": [(1, 90_000), (2, 5_000)],
    "fives": [(5, 20_000)],
    "one boilerplate": [(1, 80_000), (20_000, 1)],
    "many sizes": [(size, 30_000 // size) for size in (1, 2, 3, 5, 10, 30, 100, 1000)],
}


def seen(groups, rate, rng):
    """The others of its group that each row of a sample sees, and the true sum of what stays of the whole."""
    sizes = np.concatenate([np.full(count, size) for size, count in groups])
    found = rng.binomial(sizes, rate)
    return np.repeat(found - 1.0, found), sizes


@pytest.mark.parametrize(
    ("rate", "limit"), [(1.0, 1), (0.5, 1), (0.1, 1), (0.1, 10), (0.05, 10), (0.02, 10), (0.02, 100)]
)
@pytest.mark.parametrize("name", GROUPS)
def test_what_stays_of_groups(name, rate, limit):
    """Of a twentieth of the rows it cannot be told whether a group has three members or ten."""
    others, sizes = seen(GROUPS[name], rate, np.random.default_rng(1))
    stays = kept_shares(others, rate, limit).sum() / rate
    assert stays == pytest.approx(np.minimum(sizes, limit).sum(), rel=1e-12 if rate == 1 else 0.06)


@pytest.mark.parametrize("rate", [0.1, 0.01])
@pytest.mark.parametrize("t", [20, 200, 2000])
def test_what_stays_of_entries_as_words_are(rate, t):
    """Counts as those of words, by Zipf: a match of an entry with C of them stays by min(1, t / C)."""
    counts = np.rint(200_000 / np.arange(1, 50_000)).astype(int)
    others, sizes = seen([(count, 1) for count in counts], rate, np.random.default_rng(2))
    stays = kept_shares(others, rate, t, 0.0).sum() / rate
    # Entries of which the sample has a fraction of a match can be told by their number alone.
    assert stays == pytest.approx(np.minimum(sizes, t).sum(), rel=0.05 if rate * t >= 2 else 0.25)


def test_limits_of_each_row():
    others = np.zeros(1000)
    limits = np.where(np.arange(1000) % 2, 1.0, 0.5)
    found = kept_shares(others, 0.5, limits)
    assert np.allclose(found[0::2], 0.5 * found[1::2])
    assert len(kept_shares(np.zeros(0), 0.5, 1.0)) == 0
