"""Sums over any split of what is counted, through blocks of several ranges."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets import totals
from pipeline.buckets.blocks import rows_of
from pipeline.buckets.totals import LINES, NUMBERS, Totals

SIZE = 60
COUNTS = st.dictionaries(st.integers(0, SIZE - 1), st.integers(0, 2**40), max_size=12)
LINE_COUNTS = st.dictionaries(
    st.tuples(st.sampled_from(["kept", "dropped"]), st.none() | st.sampled_from(["", "a", "ü\n"])),
    st.integers(0, 2**40),
    max_size=5,
)


@pytest.fixture(autouse=True, scope="module")
def small_ranges():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(totals, "RANGE", 7)
        yield


def counted(tasks) -> list[Totals]:
    found = []
    for calls in tasks:
        task = Totals()
        for numbers, lines in calls:
            indices = sorted(numbers)
            task.count(np.array(indices, np.int64), np.array([numbers[i] for i in indices], np.int64))
            task.lines.update(lines)
        found.append(task)
    return found


def sent(task: Totals):
    """(target, part, rows) of each block."""
    for batch in task.blocks():
        for row in range(batch.num_rows):
            yield batch["target"][row].as_py(), batch["part"][row].as_py(), rows_of(batch, row)


@settings(deadline=None)
@given(tasks=st.lists(st.lists(st.tuples(COUNTS, LINE_COUNTS), max_size=8), max_size=4))
def test_the_sum_over_tasks_and_ranges(tasks):
    numbers, lines = Counter(), Counter()
    for calls in tasks:
        for some, of_lines in calls:
            numbers.update(some)
            lines.update(of_lines)
    by_range: dict[int, Totals] = {}
    for task in counted(tasks):
        for target, part, rows in sent(task):
            if part == NUMBERS:
                assert {i // 7 for i in rows["index"].to_pylist()} == {target}
            else:
                assert (target, part) == (0, LINES)
            by_range.setdefault(target, Totals()).add(part, rows)
    end = Totals()
    for added in by_range.values():
        for _, part, rows in sent(added):
            end.add(part, rows)
    assert end.numbers(SIZE).tolist() == [numbers[i] for i in range(SIZE)]
    assert end.numbers(SIZE).dtype == np.int64
    assert +end.lines == +lines
    indices, sums = end.together()
    assert indices.tolist() == sorted(numbers)
    assert sums.tolist() == [numbers[i] for i in sorted(numbers)]


def test_nothing():
    assert list(Totals().blocks()) == []
    assert Totals().numbers(3).tolist() == [0, 0, 0]
    assert [len(column) for column in Totals().together()] == [0, 0]
    empty = Totals()
    empty.count(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert list(empty.blocks()) == []


def test_parts_are_put_together_where_they_are_many():
    task = Totals()
    for i in range(1000):
        task.count(np.array([i % 5, 50]), np.array([1, 2]))
    assert len(task._parts) < 20
    assert task.numbers(SIZE).tolist() == [200] * 5 + [0] * 45 + [2000] + [0] * 9


def test_indices_may_be_of_any_integer():
    """Ids of entries are int32, as the tables have them."""
    found = Totals()
    found.count(np.array([5, 2], np.int32), np.array([1, 7]))
    assert [column.tolist() for column in found.together()] == [[2, 5], [7, 1]]
    assert found.numbers(6).tolist() == [0, 0, 7, 0, 0, 1]
