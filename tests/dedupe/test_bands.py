"""Bands as datasketch chooses them, and the pairs of texts that share one."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedupe.bands import band_hashes, bands_and_rows, bucket_pairs


@pytest.mark.parametrize("threshold", [0.03, 0.25, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.97])
@pytest.mark.parametrize("permutations", [128, 200, 256])
def test_bands_are_datasketchs(threshold, permutations):
    index = MinHashLSH(threshold=threshold, num_perm=permutations)
    assert bands_and_rows(threshold, permutations) == (index.b, index.r)


def test_bands_are_equal_where_rows_and_scope_are():
    signature = np.arange(32, dtype=np.uint32).reshape(1, 32).repeat(3, 0)
    signature[1, 9] += 1
    arrow = pa.FixedSizeListArray.from_arrays(pa.array(signature.ravel()), 32)
    hashes = band_hashes(arrow, 4, 8, np.array([5, 5, 6], np.uint64))
    assert (hashes[0] == hashes[1]).tolist() == [True, False, True, True]
    assert not (hashes[0] == hashes[2]).any()
    assert len(np.unique(hashes[0])) == 4


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), max_size=12),
    large=st.integers(1, 6),
)
def test_pairs_of_buckets(sizes, large):
    ids = np.arange(sum(sizes)) * 3
    bands = np.repeat(np.arange(len(sizes)) * 5, sizes)
    want = set()
    for _, rows in itertools.groupby(zip(bands.tolist(), ids.tolist(), strict=True), key=lambda row: row[0]):
        bucket = [i for _, i in rows]
        want |= set(itertools.combinations(bucket, 2)) if len(bucket) <= large else {(bucket[0], i) for i in bucket[1:]}
    assert set(zip(*bucket_pairs(bands, ids, large), strict=True)) == want
