"""The reference engine: one ``pyahocorasick`` automaton over the entry forms. Every other engine must give its sets."""

import pickle
from pathlib import Path

import ahocorasick
import numpy as np
import pyarrow as pa

from pipeline.match.spacing import entry_form, space_text


class ReferenceMatcher:
    """Matches texts against one entry list with an Aho-Corasick automaton."""

    def __init__(self, automaton: ahocorasick.Automaton):
        self.automaton = automaton

    @classmethod
    def build(cls, entries: pa.Array, form: str) -> "ReferenceMatcher":
        """The matcher of a string array of distinct, non-empty entries; the index of an entry is its id."""
        automaton = ahocorasick.Automaton()
        for entry_id, entry in enumerate(entries.to_pylist()):
            automaton.add_word(entry_form(entry, form), entry_id)
        automaton.make_automaton()
        return cls(automaton)

    def save(self, file: Path) -> None:
        """Writes the automaton to a file that ``load`` reads."""
        self.automaton.save(str(file), pickle.dumps)

    @classmethod
    def load(cls, file: Path) -> "ReferenceMatcher":
        """Reads a file of ``save``."""
        return cls(ahocorasick.load(str(file), pickle.loads))

    def match(self, texts: pa.Array) -> pa.ListArray:
        """For each text the ids of the entries that match it, sorted and distinct (int32); null for null."""
        offsets = np.zeros(len(texts) + 1, np.int32)
        found: list[int] = []
        for row, text in enumerate(texts.to_pylist()):
            if text is not None:
                found.extend(sorted({entry_id for _, entry_id in self.automaton.iter(space_text(text))}))
            offsets[row + 1] = len(found)
        return pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(found, pa.int32()), mask=texts.is_null() if texts.null_count else None
        )
