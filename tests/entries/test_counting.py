"""Counts and scores of words and pairs against NLTK and a plain counter, on text of every kind."""

from collections import Counter

import numpy as np
import pytest

from pipeline.entries.build.ngrams import NgramCounter, npmi, pmi
from pipeline.entries.build.segment import UNSPACED, joiner, runs, segmenter
from pipeline.errors import UsageError

TEXT = "the old dog and the old cat sat by the old river and the golden retriever sat by the golden gate " * 3


def test_pmi_is_nltks():
    nltk = pytest.importorskip("nltk.collocations")
    words = TEXT.split()
    finder = nltk.BigramCollocationFinder.from_words(words)
    measures = nltk.BigramAssocMeasures()
    theirs = dict(finder.score_ngrams(measures.pmi))
    counter = NgramCounter(True)
    counter.add([words])
    assert counter.unigrams == Counter(words)
    assert dict(counter.bigrams) == dict(finder.ngram_fd)
    for (x, y), both in counter.bigrams.items():
        first, second = counter.unigrams[x], counter.unigrams[y]
        assert pmi(np.array(both), np.array(first), np.array(second), len(words)) == pytest.approx(
            theirs[x, y], abs=1e-9
        )
        assert npmi(np.array(both), np.array(first), np.array(second), len(words)) <= 1 + 1e-9
    assert npmi(np.array(3), np.array(3), np.array(3), 60) == pytest.approx(1)


def test_counts_are_handed_on_and_rare_pairs_pruned():
    counter = NgramCounter(True, prune=3)
    counter.add([["a", "b", "a", "b", "a", "b", "c"]])
    handed = [row for batch in counter.results() for row in batch.to_pylist()]
    assert {(row["x"], row["y"]): row["count"] for row in handed} == {
        ("a", None): 3,
        ("b", None): 3,
        ("c", None): 1,
        ("a", "b"): 3,
    }
    assert counter.pruned == 3
    assert not counter.unigrams


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The golden retriever's dog, well-known", [["The", "golden", "retriever's", "dog"], ["well-known"]]),
        ("one  two\u00a0three\nfour", [["one", "two", "three"], ["four"]]),
        ("U.S. - (or so): 3.5 km/h", [["U"], ["S"], ["or", "so"], ["3"], ["5", "km"], ["h"]]),
        ("'quoted' ’tis -x-", [["quoted"], ["tis"], ["x"]]),
        ("हिन्दी भाषा। Привет мир", [["हिन्दी", "भाषा"], ["Привет", "мир"]]),
        ("", []),
    ],
)
def test_runs_of_words(text, found):
    assert runs(text, "en") == found


@pytest.mark.parametrize(
    ("language", "text", "package"),
    [
        ("zh", "我爱北京天安门，金毛犬很可爱。", "jieba"),
        ("ja", "東京タワーは高いです。ゴールデン", "fugashi"),
        ("th", "สวัสดีชาวโลก ภาษาไทย", "pythainlp"),
        ("km", "ភាសាខ្មែរជាភាសា", "khmernltk"),
        ("lo", "ພາສາລາວເປັນພາສາ", "laonlp"),
        ("my", "မြန်မာဘာသာစကား", "icu"),
        ("bo", "བོད་སྐད་ཡིག", "icu"),
    ],
)
@pytest.mark.parametrize("segment", ["auto", "icu"])
def test_languages_without_spaces(language, text, package, segment):
    pytest.importorskip(package if segment == "auto" else "icu")
    found = runs(text, language, segment)
    assert sum(map(len, found)) >= 2
    assert "".join(map("".join, found)) == "".join(c for c in text if c not in "，。 ་")
    assert joiner(language) == ("་" if language == "bo" else "")
    assert language in UNSPACED


def test_a_missing_library_is_told(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jieba", None)
    monkeypatch.setitem(sys.modules, "icu", None)
    from pipeline.entries.build import segment

    segment._loaded.cache_clear()
    with pytest.raises(
        UsageError,
        match=r"words in zh need the package jieba: pip install 'metaclip-pipeline\[segment\]'; or --set text.segment=icu",
    ):
        segmenter("zh")
    with pytest.raises(UsageError, match=r"words in ka need the package PyICU: pip install 'metaclip-pipeline\[icu\]'"):
        segmenter("ka", "icu")
    assert runs("plain words", "zh", "spaces") == [["plain", "words"]]
