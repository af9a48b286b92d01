"""Every engine against a plain loop over the entries, and against each other on real texts."""

import gzip
import io
import random

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.match.engine import ENGINES, build_file, match_by_list
from pipeline.match.spacing import FORMS, entry_form, space_text

# Letters of all the scripts that the forms tell apart, white space, and the punctuation of the spacing rule.
ALPHABET = "ab \t\n,.!?`:;猫狗ไทའကខ고カ，。「é-'#\u00a0\u3000𠀀"
words = st.one_of(
    st.text(st.sampled_from(ALPHABET), min_size=1, max_size=4),
    st.text(st.sampled_from("ab é"), min_size=1, max_size=40),  # tokens longer than a key holds
)


def brute_force(text: str, entries: list[str], form: str) -> list[int]:
    return [i for i, entry in enumerate(entries) if entry_form(entry, form) in space_text(text)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=300, deadline=None)
@given(
    entries=st.lists(words, min_size=1, max_size=12, unique=True),
    texts=st.lists(st.one_of(st.none(), st.text(st.sampled_from(ALPHABET), max_size=24), words), max_size=6),
)
def test_equals_a_loop_over_the_entries(engine, form, entries, texts):
    matcher = ENGINES[engine].build(pa.array(entries), form)
    found = matcher.match(pa.array(texts, pa.string()))
    assert found.type == pa.list_(pa.int32())
    assert found.to_pylist() == [None if text is None else brute_force(text, entries, form) for text in texts]


@pytest.mark.parametrize("engine", ENGINES)
def test_saved_and_loaded(engine, tmp_path):
    entries = pa.array(["a cat", "cat", "dog"])
    build_file(entries, "metaclip1", engine, tmp_path / "list")
    lists = pa.array(["x", None, "x"])
    found = match_by_list(pa.array(["a cat", "a cat", "dog."]), lists, engine, {"x": str(tmp_path / "list")})
    assert found.to_pylist() == [[0, 1], None, [2]]


def test_each_text_is_matched_against_its_list(tmp_path):
    for name, entries in {"en": ["cat", "dog"], "de": ["hund", "cat"]}.items():
        build_file(pa.array(entries), "metaclip1", "reference", tmp_path / name)
    files = {name: str(tmp_path / name) for name in ("en", "de")}
    texts = pa.array(["cat", "hund cat", "nothing", "dog", "hund"])
    lists = pa.array(["en", "de", "en", None, "de"])
    assert match_by_list(texts, lists, "reference", files).to_pylist() == [[0], [0, 1], [], None, [0]]
    assert match_by_list(texts[:0], lists[:0], "reference", files).to_pylist() == []
    assert match_by_list(texts[1:3], lists[1:3], "reference", files).to_pylist() == [[0, 1], []]


def real_texts(shared) -> list[str]:
    texts = []
    for language in ("en", "de", "fr", "cs"):
        file = shared / "data" / "captions" / f"multi30k-{language}.txt.zst"
        with zstandard.open(file, "rb") as stream:
            texts += io.TextIOWrapper(stream, encoding="utf-8").read().splitlines()
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_real_captions(shared, form):
    """100,000 real texts: every engine against substrings looked up among the forms, and a loop over the entries."""
    with gzip.open(shared / "data" / "entries" / "entries-421k.txt.gz", "rt", encoding="utf-8") as file:
        entries = list(dict.fromkeys(line for line in file.read().split("\n") if line.strip()))
    texts = random.Random(0).sample(real_texts(shared), 100_000)
    found = {name: engine.build(pa.array(entries), form).match(pa.array(texts)) for name, engine in ENGINES.items()}
    assert found["fast"].equals(found["reference"])
    ids_of = found["fast"].to_pylist()
    assert sum(map(len, ids_of)) > 1_000_000
    # Every substring that begins and ends as some form does: the candidates of the loop over entries, found faster.
    forms = {entry_form(entry, form): i for i, entry in enumerate(entries)}
    firsts, lasts, longest = {f[0] for f in forms}, {f[-1] for f in forms}, max(map(len, forms))
    for text, ids in zip(texts, ids_of, strict=True):
        spaced = space_text(text)
        ends = [at + 1 for at, c in enumerate(spaced) if c in lasts]
        want = {
            forms[part]
            for start, c in enumerate(spaced)
            if c in firsts
            for end in ends
            if start < end <= start + longest and (part := spaced[start:end]) in forms
        }
        assert ids == sorted(want), text
    for text, ids in zip(texts[:3], ids_of, strict=False):
        assert ids == brute_force(text, entries, form)
