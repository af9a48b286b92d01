"""Entries that cannot match are told, the others can, and a repaired one matches the text it was meant for."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.entries.lint import problem, repaired
from pipeline.match.spacing import PUNCTUATION, entry_form, space_text

ENTRIES = st.text(st.sampled_from("ab ,.;!`-'\tä猫"), min_size=1, max_size=12).filter(str.strip)


@settings(deadline=None, max_examples=500)
@given(ENTRIES, st.text(st.sampled_from("ab ,.;!`-'\tä猫"), max_size=10))
def test_what_is_told_never_matches(entry, around):
    if problem(entry) in ("punctuation", "white_space"):
        for text in (entry, around + entry, f"{around} {entry} {around}", " ".join(entry), entry.replace(" ", "")):
            assert entry_form(entry, "metaclip1") not in space_text(text)
            assert entry_form(entry, "metaclip2") not in space_text(text)


@settings(deadline=None, max_examples=500)
@given(ENTRIES)
def test_what_is_not_told_can_match(entry):
    if problem(entry) is None:
        text = re.sub(rf" ?({PUNCTUATION.pattern}) ?", r"\1", entry)
        assert entry_form(entry, "metaclip1") in space_text(text)


@settings(deadline=None, max_examples=500)
@given(ENTRIES)
def test_a_repaired_entry_matches_its_own_text(entry):
    whole = repaired(entry)
    assert problem(whole) is None
    assert entry_form(whole, "metaclip1") in space_text(f"x {' '.join(entry.split())} y")
    assert repaired("plain entry") == "plain entry"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("golden retriever", None),
        ("rock 'n' roll", None),
        ("Inc.", "punctuation"),
        ("St. Louis", "punctuation"),
        ("St .  Louis", None),
        ("a , b", None),
        ("10 %", None),
        ("; ;", "punctuation"),
        ("wow !  !", None),
        (",", None),
        (" a", "edge_space"),
        ("a ", "edge_space"),
        ("a  b", "double_space"),
        ("a\tb", "white_space"),
        ("x" * (1 << 21), "too_long"),
    ],
)
def test_reasons(entry, reason):
    assert problem(entry) == reason
