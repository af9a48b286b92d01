"""Texts of evaluation sets against comparing all with all."""

import random

import pyarrow as pa

from pipeline.dedupe.shingles import normalise, shingles
from pipeline.filter.texts import KnownTexts
from pipeline.recipe import Dedupe

OPTIONS = Dedupe(threshold=0.7, shingle=3, min_words=4)


def jaccard(a, b):
    a, b = shingles(normalise(a), 3), shingles(normalise(b), 3)
    return len(a & b) / len(a | b)


def test_near_texts_are_found_and_no_others():
    rng = random.Random(1)
    words = "a the red blue old house river dog cat tree near by with of photo picture small large".split()
    known = [" ".join(rng.choices(words, k=rng.randint(4, 12))) for _ in range(200)]
    texts = [" ".join(rng.choices(words, k=rng.randint(4, 12))) for _ in range(300)]
    texts += [text.upper() + "!" for text in known[:100]] + [text + " today" for text in known[100:]] + known[:5]
    found = KnownTexts(known, OPTIONS).near(pa.array(texts))
    want = [max(jaccard(text, other) for other in known) >= 0.7 for text in texts]
    assert not [t for t, f, w in zip(texts, found, want, strict=True) if f and not w]
    missed = sum(w and not f for f, w in zip(found, want, strict=True))
    assert missed <= 0.1 * sum(want)
    assert found[-5:].all()
    assert found[300:400].mean() > 0.95


def test_short_texts_are_left_alone():
    known = KnownTexts(["a dog", "a dog in the old house", ""], OPTIONS)
    assert known.left_alone == 2
    assert known.near(pa.array(["a dog", "A  Dog in the OLD house", "something else that is long"])).tolist() == [
        False,
        True,
        False,
    ]
    assert KnownTexts([], OPTIONS).near(pa.array(["a dog in the old house"])).tolist() == [False]
    assert KnownTexts(["a dog in the old house"], OPTIONS).near(pa.array([], pa.string())).tolist() == []
