"""Signatures bit for bit those of datasketch."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedupe.hashing import hash_shingles
from pipeline.dedupe.shingles import normalise, shingles
from pipeline.dedupe.signatures import SEED, coefficients, signatures


@settings(max_examples=120, deadline=None)
@given(
    texts=st.lists((st.text(max_size=60) | st.text("ab 1~", max_size=90)).map(normalise), max_size=5),
    permutations=st.sampled_from([16, 128]),
    size=st.integers(1, 30),
    shingle_by=st.sampled_from(["characters", "words"]),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
)
def test_signatures_are_datasketchs(texts, permutations, size, shingle_by, kind):
    found = signatures(pa.array(["before", *texts], kind)[1:], coefficients(permutations), size, shingle_by)
    assert found.type == pa.list_(pa.uint32(), permutations)
    for row, text in zip(found.to_pylist(), texts, strict=True):
        reference = MinHash(permutations, seed=SEED, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
        reference.update_batch(s.encode() for s in shingles(text, size, shingle_by))
        assert row == reference.hashvalues.tolist()


@pytest.mark.parametrize("size", range(1, 20))
def test_shingles_of_every_length_are_hashed_as_xxhash_does(size):
    """Of ASCII by loops over all of a text's, where they have less than 16 bytes; else one after another."""
    text = "two men, a dog and 3 hats"
    for one in (text, f"{text} é", text[: size - 1], text[:size], text[: size + 1]):
        hashed = np.empty(len(one) + 8, np.uint32)
        data = np.frombuffer(one.encode(), np.uint8)
        count = hash_shingles(data, 0, len(data), size, False, np.empty(len(data) + 2, np.int64), hashed)
        runs = [one[i : i + size] for i in range(max(1, len(one) - size + 1))]
        assert hashed[:count].tolist() == [xxhash.xxh32_intdigest(run.encode()) for run in runs]
