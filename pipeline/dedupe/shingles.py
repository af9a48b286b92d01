"""Texts as sets of character shingles, what is long enough to compare, and true Jaccard similarity."""

import re
import unicodedata

import numpy as np
import pyarrow as pa

from pipeline.match.spacing import UNSPACED_SCRIPTS

# Scripts that do not set words apart with spaces: those of MetaCLIP 2, and kana.
_UNSPACED_LETTER = re.compile(f"[{UNSPACED_SCRIPTS}\u3040-\u30ff]")


def normalise(text: str) -> str:
    """The text in NFKC and lower case, white space collapsed to single spaces and trimmed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.lower().split())


def shingles(normal: str, size: int) -> set[str]:
    """The distinct runs of ``size`` characters of a normalised text; a shorter text is one shingle."""
    return {normal[i : i + size] for i in range(max(1, len(normal) - size + 1))}


def long_enough(normal: str, min_words: int) -> bool:
    """Whether a normalised text has ``min_words`` words, or twice as many characters in scripts without spaces."""
    if min_words == 0:
        return True
    words = normal.split()
    letters = sum(map(len, words))
    if 2 * len(_UNSPACED_LETTER.findall(normal)) > letters:
        return letters >= 2 * min_words
    return len(words) >= min_words


def jaccard(a: set, b: set) -> float:
    """The size of the intersection over that of the union of two non-empty sets."""
    common = len(a & b)
    return common / (len(a) + len(b) - common)


def are_near(left: pa.Array, right: pa.Array, size: int, threshold: float) -> np.ndarray:
    """For each pair of normalised texts whether the Jaccard similarity of their shingles is at least ``threshold``."""
    sets: dict[str, set[str]] = {}
    near = np.zeros(len(left), bool)
    for row, (a, b) in enumerate(zip(left.to_pylist(), right.to_pylist(), strict=True)):
        for text in (a, b):
            if text not in sets:
                sets[text] = shingles(text, size)
        near[row] = jaccard(sets[a], sets[b]) >= threshold
    return near
