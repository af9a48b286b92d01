"""The set that shards are of as a DataComp subset file, as DataComp's resharder takes it (Gadre et al. 2023).

The file holds the pairs' ``source_uid``, DataComp's 32 hex digits, as a sorted NumPy array of two uint64 each. It takes
16 bytes of memory a pair.
"""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.recipe import pairs_table, recipe_of

UID = np.dtype("u8,u8")
HEX = re.compile("[0-9a-fA-F]{32}")


def write_subset(output: str, file: Path) -> int:
    """Writes the subset file of a finished run's output; returns the number of pairs.

    The pairs are those of the last stage that chooses in the run's recipe: balancing, filtering, or balancing again.
    Raises ``UsageError`` where its table is not there, or a pair's source_uid is something else.
    """
    name = pairs_table(recipe_of(output, "--input"))
    folder = storage.join(output, name)
    if not storage.exists(folder):
        raise UsageError(f"--input {output}: no finished {name} there; run the recipe first")
    filesystem, path = storage.open_filesystem(folder)
    rows = pads.dataset(path, filesystem=filesystem, format="parquet")
    parts = [uids(batch.column("source_uid")) for batch in rows.to_batches(columns=["source_uid"])]
    found = np.sort(np.concatenate([np.empty(0, UID), *parts]))
    with file.open("wb") as out:
        np.save(out, found)
    return len(found)


def uids(texts: pa.Array) -> np.ndarray:
    """The uids of 32 hex digits as pairs of uint64. ``UsageError`` where one is something else."""
    found = texts.to_pylist()
    if wrong := [text for text in found if text is None or not HEX.fullmatch(text)]:
        raise UsageError(f"source_uid: found {wrong[0]!r}; DataComp's uids have 32 hex digits")
    return np.frombuffer(bytes.fromhex("".join(found)), ">u8").astype("u8").view(UID)
