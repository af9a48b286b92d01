"""The frequent n-grams as a file: their 64-bit hashes, ascending, which a task maps into memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.buckets.files import read_file


def write_hashes(paths: Sequence[str], file: Path) -> int:
    """Writes the column ``ngram`` of Parquet files, in their order, as plain int64; returns how many there are."""
    count = 0
    with file.open("wb") as out:
        for hashes in _read(paths):
            out.write(hashes.tobytes())
            count += len(hashes)
    return count


def _read(paths: Sequence[str]) -> Iterator[np.ndarray]:
    for path in paths:
        for batch in read_file(path, ["ngram"]):
            yield batch.column("ngram").to_numpy()


def mapped(file: str) -> np.ndarray:
    """The hashes of a file, mapped; an empty file cannot be."""
    return np.memmap(file, np.int64, "r") if Path(file).stat().st_size else np.zeros(0, np.int64)


def any_unknown(ngrams: pa.ListArray, known: np.ndarray) -> np.ndarray:
    """For each row whether one of its hashes is not among the ``known``, which are ascending."""
    offsets = ngrams.offsets.to_numpy()
    hashes = ngrams.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
    there = np.zeros(len(hashes), bool)
    if len(known):
        there = known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes
    return np.diff(np.append(0, np.cumsum(~there))[offsets - offsets[0]]) > 0
