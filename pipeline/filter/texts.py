"""Texts that must not be trained on: those equal to, or nearly, a text of an evaluation set."""

import numpy as np
import pyarrow as pa

from pipeline.dedupe.bands import band_hashes, bands_and_rows
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.shingles import long_enough, normalise
from pipeline.dedupe.signatures import coefficients, signatures
from pipeline.recipe import Dedupe


class KnownTexts:
    """The texts of an evaluation set, which others are held against as de-duplication does it.

    Near is a true Jaccard similarity of at least the threshold; candidates come from shared MinHash bands. Texts under
    ``min_words`` are left alone on both sides: "a dog" belongs to many images.
    """

    def __init__(self, texts: list[str], options: Dedupe):
        """``texts`` as they are; ``options``: the recipe's ``dedupe``."""
        self.options = options
        long = sorted({text for text in map(normalise, texts) if long_enough(text, options.min_words)})
        self.left_alone = len(texts) - sum(long_enough(normalise(text), options.min_words) for text in texts)
        self.texts = pa.array(long, pa.string())
        bands = self._bands(self.texts)
        order = np.argsort(bands.ravel(), kind="stable")
        self.keys, self.places = bands.ravel()[order], (order // max(1, bands.shape[1]))

    def near(self, texts: pa.Array) -> np.ndarray:
        """For each text whether one of the set is near it."""
        found = np.zeros(len(texts), bool)
        normal = [normalise(text) for text in texts.to_pylist()]
        rows = np.array([i for i, text in enumerate(normal) if long_enough(text, self.options.min_words)], np.int64)
        if len(rows) == 0 or len(self.texts) == 0:
            return found
        long = pa.array([normal[i] for i in rows], pa.string())
        bands = self._bands(long)
        first, end = (np.searchsorted(self.keys, bands.ravel(), side=side) for side in ("left", "right"))
        left = np.repeat(np.repeat(np.arange(len(long)), bands.shape[1]), end - first)
        steps = np.arange(len(left)) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
        right = self.places[np.repeat(first, end - first) + steps]
        pairs = np.unique(np.stack([left, right]), axis=1)
        options = self.options
        if pairs.shape[1]:
            mine, known = long.take(pa.array(pairs[0])), self.texts.take(pa.array(pairs[1]))
            similar = jaccards(mine, known, options.shingle, options.shingle_by) >= options.threshold
            found[rows[pairs[0][similar]]] = True
        return found

    def _bands(self, normal: pa.Array) -> np.ndarray:
        options = self.options
        bands, rows = bands_and_rows(options.threshold, options.permutations)
        signed = signatures(normal, coefficients(options.permutations), options.shingle, options.shingle_by)
        return band_hashes(signed, bands, rows, np.zeros(len(normal), np.int64))
