"""Words and n-grams in plain Python, for the filter to be held against."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import xxhash

from pipeline.match.spacing import KANA, UNSPACED_SCRIPTS

UNSPACED = re.compile(f"[{UNSPACED_SCRIPTS}{KANA}]")


def words(text: str) -> list[str]:
    """Runs of letters, marks and digits in lower case; in scripts without spaces each character."""
    found, run = [], ""
    for sign in text.lower() + " ":
        is_word = unicodedata.category(sign)[0] in "LMN"
        alone = is_word and UNSPACED.match(sign)
        if run and (alone or not is_word):
            found.append(run)
            run = ""
        if alone:
            found.append(sign)
        elif is_word:
            run += sign
    return found


def ngrams(text: str) -> list[str]:
    """The words and pairs of neighbouring words of a text."""
    found = words(text)
    return found + [f"{one} {other}" for one, other in zip(found, found[1:], strict=False)]


def hash_of(ngram: str) -> int:
    """Spark's xxhash64 of a text."""
    value = xxhash.xxh64(ngram.encode(), seed=42).intdigest()
    return value - (1 << 64) if value >= 1 << 63 else value


def counts_of(texts: Iterable[tuple[str, int]]) -> Counter:
    """How often each n-gram occurs in texts, each of which is there so many times."""
    found = Counter()
    for text, copies in texts:
        for ngram in ngrams(text):
            found[ngram] += copies
    return found


def top_of(counts: Counter, top: int) -> set[str]:
    """The n-grams of the highest counts; of one count those of the smallest hashes."""
    return set(sorted(counts, key=lambda ngram: (-counts[ngram], hash_of(ngram)))[:top])
