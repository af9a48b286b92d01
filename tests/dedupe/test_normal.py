"""The kernel of normalised texts against ``normalise`` and ``long_enough``, the definition."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedupe.normal import normal_texts
from pipeline.dedupe.shingles import long_enough, normalise

# Every control character, white space of Unicode, letters whose lower case or NFKC form is longer or shorter.
ODD = (
    [chr(i) for i in range(33)]
    + list("\x7f\x85\xa0\u1680\u2003\u2028\u200b\u3000\ufeff")
    + list("İẞﬁ①Åß猫ไཀカꜰ𝐀ΣςAZ@[`{z ")
)
TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from(ODD)),
    st.text(st.characters(max_codepoint=127)),
    st.text("aB \t\x1c", max_size=12),
)


def want(texts: list[str], min_words: int) -> tuple[list[str], list[int]]:
    rows = [row for row, text in enumerate(texts) if long_enough(normalise(text), min_words)]
    return [normalise(texts[row]) for row in rows], rows


@settings(max_examples=500, deadline=None)
@given(
    texts=st.lists(TEXTS, max_size=12),
    min_words=st.integers(0, 6),
    cut=st.integers(0, 3),
    left=st.integers(0, 2),
    kind=st.sampled_from([pa.string(), pa.large_string()]),
)
def test_any_text(texts, min_words, cut, left, kind):
    end = max(cut, len(texts) - left)
    found, rows = normal_texts(pa.array(texts, kind)[cut:end], min_words)
    found.validate(full=True)
    assert found.type == pa.large_string()
    assert (found.to_pylist(), rows.tolist()) == want(texts[cut:end], min_words)


@pytest.mark.parametrize("letter", ["x", "é"])
def test_every_character_alone_and_between(letter):
    """Every character of Unicode's first plane, in a text of its own: as the whole, and as what may part two words."""
    characters = [chr(i) for i in range(1 << 16) if not 0xD800 <= i < 0xE000]
    texts = [*characters, *(f"A{c}{letter}" for c in characters), *(f"{c}{letter}{c}" for c in characters)]
    for min_words in (0, 1, 2):
        found, rows = normal_texts(pa.array(texts), min_words)
        texts_there, rows_there = want(texts, min_words)
        assert found.to_pylist() == texts_there
        assert rows.tolist() == rows_there


@pytest.mark.parametrize("min_words", [0, 1])
def test_nothing(min_words):
    for texts in (pa.array([], pa.string()), pa.array(["a"])[1:], pa.array([], pa.large_string())):
        found, rows = normal_texts(texts, min_words)
        assert (found.to_pylist(), rows.tolist()) == ([], [])
    assert normal_texts(pa.array(["", " \t"]), min_words)[0].to_pylist() == ["", ""][: 2 * (min_words == 0)]


def test_plain_and_other_texts_stay_in_their_order():
    rng = np.random.default_rng(0)
    texts = [
        f"Text {i} {'ÄÖ' if rng.random() < 0.5 else 'xx'} {'WORDS ' * int(rng.integers(0, 4))}" for i in range(3000)
    ]
    found, rows = normal_texts(pa.array(texts), 4)
    assert (found.to_pylist(), rows.tolist()) == want(texts, 4)
