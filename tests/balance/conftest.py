"""The pool of ``drawn.py`` in buckets, and its counts."""

import pytest

from pipeline.balance.pool import Pool
from pipeline.balance.spark import (
    count_entries,
)
from tests.balance.drawn import SIZES, with_draws
from tests.buckets.written import write_table


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    """The pool with the draws of a seed, in six buckets."""
    folder, made = tmp_path_factory.mktemp("matched"), {}

    def of(seed):
        if seed not in made:
            made[seed] = Pool(write_table(folder / str(seed), with_draws(seed), 6))
        return made[seed]

    return of


@pytest.fixture(scope="module")
def counts(spark, matched):
    return count_entries(spark, matched(3), SIZES)
