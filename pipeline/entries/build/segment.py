"""Words of a text, in runs that no punctuation crosses: what unigrams and bigrams are counted over.

A word is a run of letters, digits and marks, with hyphens and apostrophes inside. Languages that are written without
spaces are cut into words by a library each, or by ICU's dictionaries.
"""

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from pipeline.errors import UsageError

UNSPACED = {"zh", "ja", "th", "km", "lo", "my", "bo"}
INNER = "'’‑-"
TSHEG = "\u0f0b"  # between the syllables of Tibetan
Cut = Callable[[str], list[str]]


def unspaced(language: str) -> bool:
    """Whether a language is written without spaces between words."""
    return base_language(language) in UNSPACED


def base_language(language: str) -> str:
    """``zh`` of ``zh-TW`` or ``zh_min``."""
    return re.split("[-_]", language)[0].lower()


def joiner(language: str) -> str:
    """What stands between the words of a bigram."""
    return TSHEG if base_language(language) == "bo" else "" if unspaced(language) else " "


def runs(text: str, language: str, segment: str = "auto") -> list[list[str]]:
    """The runs of words of a text: within a run words stand side by side, with white space alone between them.

    ``segment``: ``auto`` (a library for a language without spaces), ``spaces``, or ``icu``. Raises ``UsageError`` where
    a library is missing.
    """
    found = [re.split(rf"[\s{TSHEG}]+", run) for run in _run_pattern().findall(text)]
    if segment == "spaces" or (segment == "auto" and not unspaced(language)):
        return found
    cut = segmenter(base_language(language), "icu" if segment == "icu" else "auto")
    return [words for run in found if (words := [word for part in run for word in cut(part) if word.strip()])]


@lru_cache(maxsize=1)
def _run_pattern() -> re.Pattern:
    """Words with single lines of white space between them; what is not of a word ends a run."""
    outside = _ranges(lambda c: unicodedata.category(c)[0] in "PSZC" and c not in INNER)
    word = f"[^{outside}{re.escape(INNER)}]+(?:[{re.escape(INNER)}][^{outside}{re.escape(INNER)}]+)*"
    return re.compile(f"{word}(?:[ \\t\\u00a0\\u3000{TSHEG}]+{word})*")


def _ranges(holds: Callable[[str], bool]) -> str:
    """A character class of all characters for which something holds."""
    parts, start = [], None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and holds(chr(code))
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            parts.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(parts)


def segmenter(language: str, kind: str = "auto") -> Cut:
    """What cuts a run without spaces into words. ``UsageError`` where its library is missing."""
    make = _LIBRARIES.get(language) if kind == "auto" else None
    try:
        return _loaded(language, make or _icu)
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        hint = "; or --set text.segment=icu" if make else ""
        extra = "segment" if make else "icu"
        raise UsageError(
            f"text.segment: words in {language} need the package {_PACKAGES.get(package, package)}: "
            f"pip install 'metaclip-pipeline[{extra}]'{hint}"
        ) from None


@lru_cache(maxsize=16)
def _loaded(language: str, make: Callable[[str], Cut]) -> Cut:
    return make(language)


def _chinese(_language: str) -> Cut:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut


def _japanese(_language: str) -> Cut:
    import fugashi

    tagger = fugashi.Tagger()
    return lambda text: [word.surface for word in tagger(text)]


def _thai(_language: str) -> Cut:
    from pythainlp.tokenize import word_tokenize

    return lambda text: word_tokenize(text, engine="newmm", keep_whitespace=False)


def _khmer(_language: str) -> Cut:
    import logging

    logging.getLogger("khmer-nltk").setLevel(logging.WARNING)
    from khmernltk import word_tokenize

    return lambda text: word_tokenize(text, return_tokens=True)


def _lao(_language: str) -> Cut:
    from laonlp.tokenize import word_tokenize

    return word_tokenize


def _icu(language: str) -> Cut:
    import icu

    breaks = icu.BreakIterator.createWordInstance(icu.Locale(language))

    def cut(text: str) -> list[str]:
        held = icu.UnicodeString(text)  # ICU's places are of UTF-16
        breaks.setText(held)
        ends = list(breaks)
        return [str(held[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    return cut


_LIBRARIES = {"zh": _chinese, "ja": _japanese, "th": _thai, "km": _khmer, "lo": _lao}
_PACKAGES = {"icu": "PyICU", "khmernltk": "khmer-nltk", "fugashi": "fugashi with unidic-lite"}
