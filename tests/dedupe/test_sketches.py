"""Sketches against sets in Python: no pair that is near is ever left out, and most that are not near are."""

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedupe.candidates import candidate_pairs
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.shingles import normalise, shingles
from pipeline.dedupe.sketches import may_be_near, sketches

TEXT = (st.text("ab cdé猫", max_size=40) | st.text("ab", max_size=300)).map(normalise)


def plain_sketch(text, size, by):
    """The parity of the distinct cells in each column."""
    hashes = {xxhash.xxh32_intdigest(shingle.encode()) for shingle in shingles(text, size, by)}
    sketch = 0
    for _, column in {(hashed & 63, hashed >> 26) for hashed in hashes}:
        sketch ^= 1 << column
    return sketch


@settings(deadline=None)
@given(
    texts=st.lists(TEXT, max_size=5), size=st.integers(1, 20), by=st.sampled_from(["characters", "words"]),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
)  # fmt: skip
def test_sketches_are_parities_of_marked_cells(texts, size, by, kind):
    found, counts = sketches(pa.array(["before", *texts], kind)[1:], size, by)
    assert found.tolist() == [plain_sketch(text, size, by) for text in texts]
    units = [text.split(" ") if by == "words" else text for text in texts]
    assert counts.tolist() == [max(1, len(unit) - size + 1) for unit in units]


def edited(text, random):
    """The text with some words gone, repeated, or in the place of others."""
    words = text.split(" ")
    for _ in range(random.integers(0, 4)):
        at, to = random.integers(0, len(words), 2)
        words[at : at + 1] = [[], [words[at]] * 2, [words[to]]][random.integers(0, 3)]
        words = words or ["x"]
    return " ".join(words)


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.8, 0.95, 1.0])
@settings(max_examples=60, deadline=None)
@given(text=st.text("abcdef  猫", max_size=200), seed=st.integers(0, 2**32), size=st.integers(1, 9))
def test_no_pair_that_is_near_is_left_out(threshold, text, seed, size):
    random = np.random.default_rng(seed)
    texts = [normalise(text)]
    for at in (0, 0, 1, 2, 3, 4):
        texts.append(normalise(edited(texts[at], random)))
    i, j = np.array(list(combinations(range(len(texts)), 2))).T
    arrow = pa.array(texts)
    near = jaccards(arrow.take(pa.array(i)), arrow.take(pa.array(j)), size) >= threshold
    may = may_be_near(*sketches(arrow, size), threshold)
    assert may(i, j)[near].all()


def test_most_captions_that_share_a_half_are_left_out():
    random = np.random.default_rng(3)
    words = [bytes(random.integers(97, 123, 5).tolist()).decode() for _ in range(500)]
    half = " ".join(words[:6])
    texts = pa.array([f"{half} {' '.join(random.choice(words, 6))}" for _ in range(200)])
    i, j = np.array(list(combinations(range(200), 2))).T
    assert may_be_near(*sketches(texts, 5), 0.8)(i, j).mean() < 0.02


def test_candidates_are_those_whose_sketches_may_be_near():
    texts = pa.array(["a dog runs over the grass", "a dog runs over the grass!", "two women sing in a choir"])
    bands, ids, digest = np.full(3, 7), np.array([30, 10, 20]), np.arange(3)
    near = may_be_near(*sketches(texts, 5), 0.8)
    assert [found.tolist() for found in candidate_pairs(bands, ids, digest, near)] == [[10], [30]]
    assert len(candidate_pairs(bands, ids, digest)[0]) == 3
