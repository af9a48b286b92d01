"""Normalised texts of a batch: plain ASCII by a kernel, the rest by ``normalise``, which is the definition."""

import numpy as np
import pyarrow as pa

from pipeline.compiled import compiled
from pipeline.dedupe.shingles import long_enough, normalise
from pipeline.match.fast import text_buffers

SPACE, UPPER_A, UPPER_Z, CASE = ord(" "), ord("A"), ord("Z"), 32


def normal_texts(texts: pa.Array, min_words: int = 0) -> tuple[pa.Array, np.ndarray]:
    """The normalised texts that have ``min_words``, as a large_string array, and their rows."""
    data, offsets = text_buffers(texts)
    out, ends = np.empty(int(offsets[-1] - offsets[0]), np.uint8), np.zeros(len(texts) + 1, np.int64)
    words = np.zeros(len(texts), np.int64)
    normalise_rows(data, offsets, out, ends, words)
    long, other = words >= min_words, np.flatnonzero(words < 0)
    if not len(other):
        rows = np.flatnonzero(long)
        return _strings(out, ends).take(pa.array(rows)), rows
    found = [normalise(text) for text in texts.take(pa.array(other)).to_pylist()]
    long[other] = [long_enough(text, min_words) for text in found]
    # The kernel left these empty; each goes where it belongs among the others.
    place = np.arange(len(texts))
    place[other] = len(texts) + np.arange(len(other))
    rows = np.flatnonzero(long)
    every = pa.concat_arrays([_strings(out, ends), pa.array(found, pa.large_string())])
    return every.take(pa.array(place[rows])), rows


def _strings(out: np.ndarray, ends: np.ndarray) -> pa.Array:
    return pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(out))


@compiled
def normalise_rows(data, offsets, out, ends, words):
    """Writes each ASCII text in lower case with white space collapsed, and counts its words; -1 for other texts."""
    to = 0
    for row in range(len(words)):
        start, count, open_word = to, 0, False
        for at in range(offsets[row], offsets[row + 1]):
            byte = data[at]
            if byte >= 128:
                to, count = start, -1
                break
            if byte == SPACE or 9 <= byte <= 13 or 28 <= byte <= 31:
                open_word = False
                continue
            if not open_word:
                if count:
                    out[to] = SPACE
                    to += 1
                count += 1
                open_word = True
            out[to] = byte + CASE if UPPER_A <= byte <= UPPER_Z else byte
            to += 1
        words[row] = count
        ends[row + 1] = to
