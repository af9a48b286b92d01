"""Buckets and their ranges against Python's integers."""

import inspect
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.buckets import keys
from pipeline.buckets.keys import among, bucket_count, bucket_of, first_id, overlapping, part_count

LEAST, END = -(2**63), 2**63
SIGNED = st.integers(LEAST, END - 1) | st.sampled_from([LEAST, LEAST + 1, -1, 0, 1, END - 2, END - 1])
COUNTS = st.integers(1, 40) | st.integers(1, 2**32 - 1) | st.sampled_from([1, 2, 2**31, 2**32 - 1])


def bucket(pair_id: int, buckets: int) -> int:
    return (pair_id - LEAST) * buckets // 2**64


@given(ids=st.lists(SIGNED), buckets=COUNTS)
def test_bucket_of(ids, buckets):
    found = bucket_of(np.array(ids, np.int64), buckets)
    assert found.dtype == np.int64
    assert found.tolist() == [bucket(i, buckets) for i in ids]


@given(buckets=COUNTS, data=st.data())
def test_buckets_are_ranges_in_order(buckets, data):
    at = data.draw(st.integers(0, buckets - 1) | st.sampled_from([0, buckets - 1]))
    first, end = first_id(at, buckets), first_id(at + 1, buckets)
    assert first < end
    assert bucket(first, buckets) == bucket(end - 1, buckets) == at
    assert first == LEAST if at == 0 else bucket(first - 1, buckets) == at - 1
    assert end == END if at == buckets - 1 else bucket(end, buckets) == at + 1


@given(first=SIGNED, length=st.integers(0, 2**64) | st.integers(0, 3), buckets=st.integers(1, 40))
def test_overlapping(first, length, buckets):
    end = min(first + length, END)
    want = [at for at in range(buckets) if max(first, first_id(at, buckets)) < min(end, first_id(at + 1, buckets))]
    assert list(overlapping(first, end, buckets)) == want


@given(few=st.integers(1, 12), factor=st.integers(1, 12), at=st.integers(0, 11))
def test_a_bucket_is_a_run_of_smaller_ones(few, factor, at):
    """Parts of a bucket are buckets of a number that is a multiple."""
    at %= few
    parts = overlapping(first_id(at, few), first_id(at + 1, few), few * factor)
    assert parts == range(at * factor, (at + 1) * factor)


@given(rows=st.integers(0, 10**11), size=st.integers(0, 10**14))
def test_the_number_of_buckets(rows, size):
    found = bucket_count(rows, size)
    assert found >= 1
    assert rows <= found * keys.MOST_ROWS
    assert size <= found * keys.MOST_BYTES
    # No more than that asks for: sixteen for cores, unless they would be small.
    wanted = max(rows / keys.MOST_ROWS, size / keys.MOST_BYTES, min(keys.FEW, rows / keys.LEAST_ROWS))
    assert found <= wanted + 1
    assert part_count(rows, found) * keys.PART_ROWS * found >= rows


def test_the_number_of_buckets_is_of_the_data_alone(monkeypatch):
    assert list(inspect.signature(bucket_count).parameters) == ["rows", "size"]
    sizes = [(0, 0), (1, 1), (10**6, 10**8), (10**9, 10**11)]
    before = [bucket_count(*size) for size in sizes]
    assert before == [1, 1, 16, 954]
    monkeypatch.setattr(os, "cpu_count", lambda: 500)
    assert [bucket_count(*size) for size in sizes] == before


@given(ids=st.lists(SIGNED), some=st.sets(SIGNED).map(sorted), both=st.lists(SIGNED))
def test_among(ids, some, both):
    some = sorted({*some, *both})
    found = among(np.array(ids + both, np.int64), np.array(some, np.int64))
    assert found.tolist() == [i in some for i in ids + both]


@pytest.mark.parametrize("buckets", [1, 3, 16])
def test_no_ids(buckets):
    assert bucket_of(np.zeros(0, np.int64), buckets).tolist() == []
    assert list(overlapping(5, 5, buckets)) == list(overlapping(6, 5, buckets)) == []
