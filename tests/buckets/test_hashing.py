"""Hashes and draws against python-xxhash."""

import struct

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets.hashing import draws, hashed, hashes, pair_ids

SIGNED = st.integers(-(2**63), 2**63 - 1)
EXTREMES = [0, 1, -1, 2**63 - 1, -(2**63), 123456789]


def strings(values: list[bytes], kind=pa.string()) -> pa.Array:  # noqa: B008
    """Bytes as an array of texts, unchecked."""
    plain = pa.array(values, pa.large_binary() if kind == pa.large_string() else pa.binary())
    return pa.Array.from_buffers(kind, len(values), plain.buffers())


def want(values: list[bytes], seed: int) -> list[int]:
    return [xxhash.xxh64(value, seed=seed).intdigest() for value in values]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@pytest.mark.parametrize("seed", [42, 0, 2**64 - 1])
def test_all_lengths_and_slices(kind, seed):
    rng = np.random.default_rng(0)
    values = [rng.bytes(length) for length in range(301)]
    array = strings(values, kind)
    for start, end in [(0, 301), (1, 301), (7, 250), (40, 41), (5, 5), (300, 301)]:
        assert hashes(array[start:end], seed).view(np.uint64).tolist() == want(values[start:end], seed)
    mixed = [values[i] for i in rng.permutation(301)]
    assert hashes(strings(mixed, kind), seed).view(np.uint64).tolist() == want(mixed, seed)


def test_texts_that_are_empty_and_none_at_all():
    assert hashes(pa.array(["", ""])).view(np.uint64).tolist() == want([b"", b""], 42)
    for nothing in (pa.array([], pa.string()), pa.array(["a"])[1:], pa.array([], pa.large_string())):
        assert len(hashes(nothing)) == 0


def test_the_end_of_a_buffer_is_not_passed():
    """Texts whose last byte is the last of their memory."""
    for length in range(70):
        content = bytes(range(length))
        offsets = pa.py_buffer(np.array([0, length], np.int32))
        array = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(content)])
        assert hashes(array).view(np.uint64).tolist() == want([content], 42)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=20), cut=st.integers(0, 3))
def test_pair_ids(rows, cut):
    urls, texts = (pa.array([row[i] for row in rows], pa.string())[cut:] for i in (0, 1))
    found = pair_ids(urls, texts).view(np.uint64).tolist()
    assert found == want([f"{url}\0{text}".encode() for url, text in rows[cut:]], 42)


def by_xxhash(pair_id: int, seed: int) -> int:
    inner = xxhash.xxh64(struct.pack("<q", seed), seed=42).intdigest()
    return xxhash.xxh64(struct.pack("<q", pair_id), seed=inner).intdigest()


@settings(deadline=None)
@given(ids=st.lists(SIGNED | st.sampled_from(EXTREMES), max_size=20), seed=SIGNED | st.sampled_from(EXTREMES))
def test_hashed_and_draws(ids, seed):
    found = hashed(np.array(ids, np.int64), seed)
    assert found.dtype == np.uint64
    assert found.tolist() == [by_xxhash(i, seed) for i in ids]
    drawn = draws(np.array(ids, np.int64), seed).tolist()
    assert drawn == [(by_xxhash(i, seed) >> 11) * 2.0**-53 for i in ids]
    assert all(0 <= draw < 1 for draw in drawn)


def test_hashes_are_those_of_spark(spark):
    """Tables written before ids were made with Arrow have the same ids."""
    ids = pa.array(EXTREMES, pa.int64())
    texts = pa.array(["", "a", "ünï 猫", "x" * 1000, "\0", "b"])
    rows = spark.createDataFrame(pa.table({"id": ids, "text": texts}))
    found = rows.selectExpr("xxhash64(text) as h", "xxhash64(-5L, id) as d").toArrow()
    assert found["h"].to_pylist() == hashes(texts).tolist()
    assert found["d"].to_numpy().view(np.uint64).tolist() == hashed(ids.to_numpy(), -5).tolist()
