"""The best share by a score: exact, ties by pair_id."""

import math

import pytest

from pipeline.errors import UsageError
from pipeline.filter.best.spark import by_best, ranked
from pipeline.filter.order import row_at

SCORES = [0.5, 0.25, None, 0.5, -1.0, math.nan, 0.75, 0.5, 0.0, -0.0, 3.0]


def judged(spark, tmp_path, keep):
    rows = [(i - 5, score, "few_words" if score == 3.0 else None) for i, score in enumerate(SCORES)]
    pairs = spark.createDataFrame(rows, "pair_id bigint, `a.score` float, dropped string").repartition(3)
    ranked(pairs, "a.score").write.parquet(str(tmp_path / "ranked"))
    files = sorted(str(file) for file in (tmp_path / "ranked").glob("part-*"))
    last = row_at(files, keep - 1) if keep else None
    return {row["pair_id"]: row["dropped"] for row in by_best(pairs, "a.score", last).collect()}


SLOW = [pytest.param(keep, marks=pytest.mark.slow) for keep in (1, 2, 6, 7)]


@pytest.mark.parametrize("keep", [0, 3, 8, *SLOW])
def test_ties_are_decided_by_pair_id(spark, tmp_path, keep):
    scored = [(-score, i - 5) for i, score in enumerate(SCORES) if score is not None and score == score and score < 3]
    stay = {pair_id for _, pair_id in sorted(scored)[:keep]}
    found = judged(spark, tmp_path, keep)
    assert {pair_id for pair_id, dropped in found.items() if dropped is None} == stay
    assert [found[2 - 5], found[5 - 5], found[10 - 5]] == ["not_scored", "not_scored", "few_words"]
    assert list(found.values()).count("not_best") == 8 - keep


@pytest.mark.parametrize(("column", "said"), [("score", "no such column"), ("text", "has string, numbers are allowed")])
def test_a_column_that_is_no_score(spark, column, said):
    pairs = spark.createDataFrame([(1, "a", None)], "pair_id bigint, text string, dropped string")
    with pytest.raises(UsageError, match=f"filter.best.column: '{column}': {said}"):
        ranked(pairs, column)
