"""A curated set as a DataComp subset file, as DataComp's resharder takes it (Gadre et al. 2023).

The file holds the pairs' ``source_uid``, DataComp's 32 hex digits, as a sorted NumPy array of two uint64 each. It takes
16 bytes of memory a pair.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from pipeline import storage
from pipeline.errors import UsageError

UID = np.dtype("u8,u8")


def write_subset(output: str, file: Path) -> int:
    """Writes the subset file of a finished run's output; returns the number of pairs.

    Raises ``UsageError`` where there is no curated table, or a pair's source_uid is something else.
    """
    folder = storage.join(output, "curated")
    if not storage.exists(folder):
        raise UsageError(f"--input {output}: no curated there; give the output of a run")
    filesystem, path = storage.open_filesystem(folder)
    rows = pads.dataset(path, filesystem=filesystem, format="parquet")
    parts = [uids(batch.column("source_uid")) for batch in rows.to_batches(columns=["source_uid"])]
    found = np.sort(np.concatenate([np.empty(0, UID), *parts]))
    with file.open("wb") as out:
        np.save(out, found)
    return len(found)


def uids(texts: pa.Array) -> np.ndarray:
    """The uids of 32 hex digits as pairs of uint64. ``UsageError`` where one is something else."""
    try:
        digits = b"".join(bytes.fromhex(text) for text in texts.to_pylist())
    except (TypeError, ValueError):
        digits = b""
    if len(digits) != 16 * len(texts):
        wrong = next((text for text in texts.to_pylist() if text is None or len(text) != 32), "one that is not hex")
        raise UsageError(f"source_uid: found {wrong!r}; DataComp's uids have 32 hex digits")
    return np.frombuffer(digits, ">u8").astype("u8").view(UID)
