"""Texts as sets of shingles: normalised, long enough to compare, cut into runs of characters or of words."""

import re
import unicodedata

from pipeline.match.spacing import KANA, UNSPACED_SCRIPTS

# Scripts that do not set words apart with spaces: those of MetaCLIP 2, and kana.
_UNSPACED_LETTER = re.compile(f"[{UNSPACED_SCRIPTS}{KANA}]")


def normalise(text: str) -> str:
    """The text in NFKC and lower case, white space collapsed to single spaces and trimmed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.lower().split())


def long_enough(normal: str, min_words: int) -> bool:
    """Whether a normalised text has ``min_words`` words, or twice as many characters in scripts without spaces."""
    if min_words == 0:
        return True
    words = normal.count(" ") + (normal != "")
    if not normal.isascii():
        letters = len(normal) - normal.count(" ")
        if 2 * len(_UNSPACED_LETTER.findall(normal)) > letters:
            return letters >= 2 * min_words
    return words >= min_words


def shingles(normal: str, size: int, shingle_by: str = "characters") -> set[str]:
    """The distinct runs of ``size`` characters, or words, of a normalised text; a shorter text is one shingle.

    This is the definition; the kernels hash the same shingles in place.
    """
    if shingle_by == "words":
        words = normal.split(" ")
        return {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}
    return {normal[i : i + size] for i in range(max(1, len(normal) - size + 1))}
