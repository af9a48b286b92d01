"""Lengths of texts before and after, and the languages with their thresholds and sizes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.page.balance import threshold_rows
from pipeline.report.page.source import Output

MOST_WORDS = 20
CHARACTERS = [0, 10, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000]


def lengths(output: Output) -> dict[str, Any]:
    """The shares of texts by number of words and by number of characters, of the pool and of what is left."""
    sides = {"pool": output.matched, "kept": output.left}
    return {
        "words": [shares(words(table["text"]), np.arange(1, MOST_WORDS + 2)) for table in sides.values()],
        "characters": [
            shares(pc.utf8_length(table["text"]).to_numpy(), np.array(CHARACTERS)) for table in sides.values()
        ],
        "characters_from": CHARACTERS,
        "sampled": [table.num_rows for table in sides.values()],
    }


def words(texts: pa.ChunkedArray) -> np.ndarray:
    """The number of words of each text, told apart by single spaces."""
    return pc.add(pc.count_substring(texts, " "), 1).to_numpy()


def shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    """The share of values from each edge on, up to the next; the last one has no end."""
    found = np.searchsorted(edges, values, side="right") - 1
    counts = np.bincount(np.clip(found, 0, len(edges) - 1), minlength=len(edges))
    return np.round(counts / max(1, counts.sum()), 5).tolist()


def languages(output: Output) -> list[dict[str, Any]]:
    """A row a list: threshold, tail share, pairs and matches of the pool, entries, pairs kept; most pairs first."""
    rows = threshold_rows(output)
    if rows and "kept" not in rows[0]:
        found = output.left["entry_list"].value_counts().to_pylist()
        scale = output.rows("curated") / max(1, output.left.num_rows)
        kept = {row["values"]: round(row["counts"] * scale) for row in found}
        rows = [row | {"kept": kept.get(row["entry_list"], 0)} for row in rows]
    return sorted(rows, key=lambda row: -row["pairs"])
