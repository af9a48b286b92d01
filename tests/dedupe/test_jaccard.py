"""Similarities against sets of shingles in Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedupe import jaccard
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.shingles import normalise, shingles

TEXT = st.text(alphabet="ab é猫", max_size=30).map(normalise)


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(TEXT, TEXT), max_size=6),
    size=st.integers(1, 6),
    by=st.sampled_from(["characters", "words"]),
)
def test_similarities_are_those_of_the_sets(pairs, size, by):
    left, right = pa.array([a for a, _ in pairs], pa.string()), pa.array([b for _, b in pairs], pa.string())
    sets = [(shingles(a, size, by), shingles(b, size, by)) for a, b in pairs]
    assert jaccards(left, right, size, by).tolist() == [len(a & b) / len(a | b) for a, b in sets]


@pytest.mark.parametrize("factor", [1, 2**64 - 1, 0x9E3779B97F4A7C15])
def test_any_factor_gives_the_same(monkeypatch, factor):
    texts = pa.array([normalise(f"a dog {'runs ' * (i % 7)}over {i} hills") for i in range(300)])
    others = texts.take(pa.array([(7 * i + 3) % 300 for i in range(300)]))
    found = jaccards(texts, others, 3).tolist()
    monkeypatch.setattr(jaccard, "FACTOR", np.uint64(factor))
    assert jaccards(texts, others, 3).tolist() == found
    sets = [(shingles(a, 3), shingles(b, 3)) for a, b in zip(texts.to_pylist(), others.to_pylist(), strict=True)]
    assert found == [len(a & b) / len(a | b) for a, b in sets]


def test_half():
    assert jaccards(pa.array(["abcd"]), pa.array(["bcde"]), 2) == pytest.approx([0.5])
