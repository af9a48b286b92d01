"""Sample pairs of entries: texts, and images where they are at hand, chosen so that many entries have some."""

import re
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from pipeline.balance.counts import flat_ids
from pipeline.report.page.source import Entries, list_array

# A URL whose host is plain to see.
_PLAIN = re.compile(r"https?://([A-Za-z0-9._-]+)(?::[0-9]*)?(?:[/?#]|$)")
PAIRS, EACH, LONGEST, ENTRIES = 4000, 3, 200, 40


def choose(table: pa.Table, entries: Entries, important: np.ndarray, first: np.ndarray) -> list[dict[str, Any]]:
    """Up to ``PAIRS`` sample pairs of a table: text, host, list, entries (flat, the first ``ENTRIES``).

    ``important``: entries (flat) that come first, each with up to ``EACH`` pairs; then those of most matches, with one.
    ``first``: rows that are looked at before the others, as their images are there.
    """
    ids, offsets = flat_ids(table["entry_list"].combine_chunks(), list_array(table), entries.starts)
    rows = np.repeat(np.arange(table.num_rows), np.diff(offsets))
    rank = np.zeros(table.num_rows, np.int64)
    rank[first] = -1
    most = np.ones(len(entries.count), np.int64)
    most[important] = EACH
    order = np.lexsort((rows, rank[rows], -entries.count[ids], -most[ids]))
    some = rows[order[place_in_group(ids[order]) < most[ids[order]]]]
    chosen = some[np.sort(np.unique(some, return_index=True)[1])][:PAIRS]
    picked = table.take(pa.array(chosen))
    texts, urls = picked["text"].to_pylist(), picked["url"].to_pylist()
    return [
        {
            "row": row,
            "text": clipped(text),
            "host": host(url),
            "list": name,
            "entries": ids[offsets[row] : offsets[row + 1]][:ENTRIES].tolist(),
        }
        for row, text, url, name in zip(chosen.tolist(), texts, urls, picked["entry_list"].to_pylist(), strict=True)
    ]


def place_in_group(groups: np.ndarray) -> np.ndarray:
    """How many of its group come before each element."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(groups[order]) != 0])[: len(groups)])
    places = np.empty(len(groups), np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
    return places


def clipped(text: str) -> str:
    """A text as the page shows it: its first ``LONGEST`` characters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def host(url: str | None) -> str:
    """The host of a URL, or its scheme where it has none; empty where it is no URL."""
    if plain := _PLAIN.match(url or ""):
        return plain[1].lower()[:100]
    try:
        parts = urlsplit(url or "")
        host = parts.hostname if parts.scheme in ("http", "https") else None
        return (host or (parts.scheme and f"{parts.scheme}:") or "")[:100]
    except ValueError:
        return ""
