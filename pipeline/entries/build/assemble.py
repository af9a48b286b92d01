"""Puts the candidates of all sources together: drops what no list should hold, merges by priority, numbers."""

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.entries.lint import problem, repaired

LIST = pa.schema([("entry_id", pa.int32()), ("entry", pa.string()), ("source", pa.string()), ("score", pa.float64())])


@dataclass
class Candidates:
    """What a source offers: entries, best first, their scores (None where it has none), and facts for the manifest."""

    source: str
    entries: list[str]
    scores: list[float] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def refused(entry: str, max_characters: int) -> str | None:
    """Why an entry is not for a list: ``blank``, ``too_long``, ``punctuation``; None where it is."""
    if not entry.strip():
        return "blank"
    if len(entry) > max_characters:
        return "too_long"
    if all(unicodedata.category(c)[0] in "PSZC" for c in entry):
        return "punctuation"
    return None


def assemble(
    found: list[Candidates],
    priority: list[str],
    max_characters: int,
    spaced: bool = False,
    base: dict[str, tuple[str, float | None]] | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """The list (``LIST``), and for each source how many it gave, first and in all, and what was refused.

    ``source`` has the letters of all sources of an entry, the first by ``priority`` in front, and ``score`` is of that
    one. Entries are sorted by code point and numbered; with ``base``, the entries of another list in its order with
    their source and score, those keep their ids and the new ones follow, sorted.
    ``spaced``: entries with punctuation are written as spacing makes them, so that they can match.
    """
    letters: dict[str, str] = {}
    scores: dict[str, float | None] = {}
    facts: dict[str, Any] = {}
    rank = {source: place for place, source in enumerate(priority)}
    for offered in sorted(found, key=lambda candidates: rank[candidates.source]):
        why: Counter = Counter()
        first = total = 0
        for place, given in enumerate(offered.entries):
            entry = given.strip()
            entry = repaired(entry) if spaced and problem(entry) else entry
            if reason := refused(entry, max_characters):
                why[reason] += 1
                continue
            known = letters.get(entry)
            if known is None:
                letters[entry] = offered.source
                scores[entry] = offered.scores[place] if offered.scores is not None else None
                first += 1
            elif offered.source not in known:
                letters[entry] = known + offered.source
            else:
                continue
            total += 1
        counts = {"entries": total, "first": first, "refused": dict(sorted(why.items()))}
        facts.setdefault(offered.source, []).append(offered.facts | counts)
    base = base or {}
    for entry, (source, score) in base.items():
        if entry not in letters:
            letters[entry], scores[entry] = source, score
    ordered = list(base) + sorted(set(letters) - set(base))
    return numbered({entry: (letters[entry], scores[entry]) for entry in ordered}), facts


def numbered(entries: dict[str, tuple[str, float | None]]) -> pa.Table:
    """A list (``LIST``) of entries in order, each with its source and score."""
    sources, scores = zip(*entries.values(), strict=True) if entries else ((), ())
    columns = {"entry_id": range(len(entries)), "entry": list(entries), "source": sources, "score": scores}
    return pa.table({name: pa.array(values, LIST.field(name).type) for name, values in columns.items()}, LIST)


def sources_of(table: pa.Table) -> dict[str, tuple[str, float | None]]:
    """The entries of a list in order with their source (``l`` where it has none) and score."""
    rows = len(table)
    sources = table["source"].to_pylist() if "source" in table.column_names else ["l"] * rows
    scores = table["score"].to_pylist() if "score" in table.column_names else [None] * rows
    return dict(zip(table["entry"].to_pylist(), zip(sources, scores, strict=True), strict=True))
