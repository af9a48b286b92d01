"""Candidates and edges of equal texts against plain Python, over any split of the rows by their hash."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets.keys import bucket_of
from pipeline.dedupe.candidates import (
    FEW,
    candidate_pairs,
    digests,
    distinct_pairs,
    equal_edges,
    first_of_equal,
    order_each,
    shared,
)

HASH = st.integers(0, 4) | st.sampled_from([-(2**63), 2**63 - 1])


def columns(rows, count):
    return [np.array([row[i] for row in rows], np.int64) for i in range(count)]


def pairs(found):
    return list(zip(*(column.tolist() for column in found), strict=True))


# Rows (band, id, digest): a text has one digest, and its bands are its own.
TEXT_ROWS = st.dictionaries(st.integers(-50, 50), st.tuples(st.integers(0, 6), st.sets(HASH, max_size=3)), max_size=25)


def plain_candidates(rows, large):
    buckets: dict[int, dict[int, int]] = {}
    for band, pair_id, digest in rows:
        heads = buckets.setdefault(band, {})
        heads[digest] = min(heads.get(digest, pair_id), pair_id)
    found = set()
    for heads in buckets.values():
        ids = sorted(heads.values())
        found |= set(combinations(ids, 2)) if len(ids) <= large else {(ids[0], other) for other in ids[1:]}
    return found


@settings(max_examples=300, deadline=None)
@given(texts=TEXT_ROWS, large=st.integers(1, 6), seed=st.integers(0, 9), tasks=st.integers(1, 3))
def test_candidates(texts, large, seed, tasks):
    rows = [(band, pair_id, digest) for pair_id, (digest, bands) in texts.items() for band in bands]
    rows = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    band, ids, digest = columns(rows, 3)
    found = candidate_pairs(band, ids, digest, large=large)
    assert all(a < b for a, b in pairs(found))
    assert pairs(distinct_pairs(*found)) == sorted(plain_candidates(rows, large))
    # Each task has the buckets of some hashes.
    task = bucket_of(band, tasks)
    parts = [candidate_pairs(band[task == i], ids[task == i], digest[task == i], large=large) for i in range(tasks)]
    assert {pair for part in parts for pair in pairs(part)} == set(pairs(found))


def test_a_large_bucket_is_a_star():
    count = 1000
    ids = np.random.default_rng(0).permutation(count).astype(np.int64)
    found = candidate_pairs(np.full(count, 7), ids, ids + 5)
    assert sorted(pairs(found)) == [(0, i) for i in range(1, count)]
    assert len(candidate_pairs(np.full(64, 7), ids[:64], ids[:64])[0]) == 64 * 63 // 2
    assert len(candidate_pairs(np.full(65, 7), ids[:65], ids[:65])[0]) == 64


@pytest.mark.parametrize("size", [1, 2, FEW, FEW + 1, 1000])
def test_rows_of_a_hash_are_put_in_order(size):
    random = np.random.default_rng(size)
    hashes = np.repeat(random.permutation(5), size)
    first, second = random.integers(0, 3, 5 * size), random.permutation(5 * size)
    rows = np.arange(5 * size).reshape(5, size)[random.permutation(5)].ravel()
    want = [row for some in rows.reshape(5, size) for row in sorted(some, key=lambda row: (first[row], second[row]))]
    order_each(hashes, first, second, rows)
    assert rows.tolist() == want


def test_equal_texts_of_a_bucket_are_one_that_stands_for_all():
    count = 100_000
    ids = np.arange(count) * 3
    assert len(candidate_pairs(np.full(count, 7), ids, np.full(count, 1))[0]) == 0
    assert pairs(candidate_pairs(np.full(count, 7), ids, (ids >= 600).astype(np.int64))) == [(0, 600)]


@settings(max_examples=300, deadline=None)
@given(
    texts=st.dictionaries(st.integers(-50, 50), st.tuples(HASH, st.integers(0, 2)), max_size=25),
    tasks=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_equal_edges(texts, tasks, seed):
    """The rows of a digest come to one task from any number of them: its smallest id has an edge to each other."""
    rows = [(high, pair_id, low) for pair_id, (high, low) in texts.items()]
    rows = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    groups: dict[tuple[int, int], list[int]] = {}
    for high, pair_id, low in rows:
        groups.setdefault((high, low), []).append(pair_id)
    want = sorted((min(ids), other) for ids in groups.values() for other in ids if other != min(ids))
    high, ids, low = columns(rows, 3)
    assert sorted(pairs(equal_edges(high, ids, low))) == want
    task = bucket_of(high, tasks)
    assert (
        sorted(pair for i in range(tasks) for pair in pairs(equal_edges(*(c[task == i] for c in (high, ids, low)))))
        == want
    )


@given(rows=st.lists(st.tuples(HASH, st.integers(0, 2)), max_size=30))
def test_first_of_equal(rows):
    high, low = columns(rows, 2)
    assert first_of_equal(high, low).tolist() == [rows.index(row) for row in rows]


@given(hashes=st.lists(HASH, max_size=30))
def test_shared(hashes):
    found = shared(np.array(hashes, np.int64)).tolist()
    assert sorted(found) == [i for i, value in enumerate(hashes) if hashes.count(value) > 1]


@given(rows=st.lists(st.tuples(HASH, HASH), max_size=30))
def test_distinct_pairs(rows):
    assert pairs(distinct_pairs(*columns(rows, 2))) == sorted(set(rows))


def test_digests_tell_texts_and_scopes_apart():
    texts = pa.array(["a", "b", "a", "", "a"], pa.large_string())
    found = pairs(digests(texts, np.array([0, 0, 0, 0, 9], np.int64)))
    assert found[0] == found[2]
    assert len(set(found)) == 4
    assert all(high != low for high, low in found)


@pytest.mark.parametrize("function", [candidate_pairs, equal_edges])
def test_no_rows(function):
    assert pairs(function(*columns([], 3))) == []
