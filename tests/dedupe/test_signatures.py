"""Signatures bit for bit those of datasketch, and what the bands find."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedupe.shingles import normalise, shingles
from pipeline.dedupe.signatures import SEED, band_hashes, bands_and_rows, signatures


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=60).map(normalise), max_size=5),
    permutations=st.sampled_from([16, 128]),
    size=st.integers(1, 30),
)
def test_signatures_are_datasketchs(texts, permutations, size):
    found = signatures(pa.array(texts, pa.string()), permutations, size)
    assert found.shape == (len(texts), permutations)
    for row, text in zip(found, texts, strict=True):
        reference = MinHash(permutations, seed=SEED, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
        reference.update_batch(s.encode() for s in shingles(text, size))
        assert (row == reference.hashvalues).all()


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_bands_are_datasketchs(threshold):
    index = MinHashLSH(threshold=threshold, num_perm=128)
    assert bands_and_rows(threshold, 128) == (index.b, index.r)


def test_bands_are_equal_where_rows_and_scope_are():
    signature = np.arange(32, dtype=np.uint32).reshape(1, 32).repeat(3, 0)
    signature[1, 9] += 1
    hashes = band_hashes(signature, 4, 8, np.array([5, 5, 6], np.uint64))
    assert (hashes[0] == hashes[1]).tolist() == [True, False, True, True]
    assert not (hashes[0] == hashes[2]).any()
    assert len(np.unique(hashes[0])) == 4
