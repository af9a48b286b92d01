"""Counts of words and of pairs of neighbours, and how a pair's score follows from them.

PMI is NLTK's ``BigramAssocMeasures.pmi``: log2(c(xy) N / (c(x) c(y))) with N the number of words (Church and Hanks
1990). NPMI divides it by -log2(c(xy) / N), so that it is at most 1 (Bouma 2009).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

# The distinct words and bigrams that a task holds before it hands its counts on: some 300 MB.
MOST_HELD = 1_500_000
COUNTS = pa.schema([("x", pa.string()), ("y", pa.string()), ("count", pa.int64())])


class NgramCounter:
    """Counts the unigrams and bigrams of runs of words, combined over a whole task."""

    def __init__(self, bigrams: bool, prune: int = 0):
        """``prune``: bigrams seen fewer times in what is handed on at once are left out, and their number told."""
        self.with_bigrams, self.prune = bigrams, prune
        self.unigrams: Counter = Counter()
        self.bigrams: Counter = Counter()
        self.pruned = 0

    def add(self, runs: Iterable[list[str]]) -> None:
        """Counts words, and pairs of neighbours within each run."""
        for run in runs:
            self.unigrams.update(run)
            if self.with_bigrams:
                self.bigrams.update(pairwise(run))

    def full(self) -> bool:
        """Whether it is time to hand on."""
        return len(self.unigrams) + len(self.bigrams) > MOST_HELD

    def results(self) -> Iterator[pa.RecordBatch]:
        """Hands on and forgets the counts as batches of ``COUNTS``: ``y`` is null for a word."""
        kept = self.bigrams
        if self.prune > 1:
            kept = {pair: count for pair, count in kept.items() if count >= self.prune}
            self.pruned += sum(self.bigrams.values()) - sum(kept.values())
        unigrams, self.unigrams, self.bigrams = self.unigrams, Counter(), Counter()
        yield batch(list(unigrams), [None] * len(unigrams), list(unigrams.values()))
        if kept:
            x, y = zip(*kept, strict=True)
            yield batch(list(x), list(y), list(kept.values()))


def batch(x: list, y: list, counts: list[int]) -> pa.RecordBatch:
    """Rows of ``COUNTS``."""
    return pa.RecordBatch.from_arrays(
        [pa.array(x, pa.string()), pa.array(y, pa.string()), pa.array(counts, pa.int64())], schema=COUNTS
    )


def pmi(both: np.ndarray, first: np.ndarray, second: np.ndarray, words: int) -> np.ndarray:
    """The pointwise mutual information of pairs in bits, by the counts of the pairs, their words, and all words."""
    return np.log2(both.astype(np.float64) * words) - np.log2(first.astype(np.float64) * second)


def npmi(both: np.ndarray, first: np.ndarray, second: np.ndarray, words: int) -> np.ndarray:
    """The normalised PMI: 1 for words that stand only beside each other, 0 for chance."""
    return pmi(both, first, second, words) / -np.log2(both / words)
