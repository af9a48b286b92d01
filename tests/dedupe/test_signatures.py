"""Signatures bit for bit those of datasketch."""

import pyarrow as pa
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

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
