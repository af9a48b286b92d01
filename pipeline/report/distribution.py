"""The distribution of matches over the entries of one list, before and after balancing, as figures to plot.

After figure 2 of Xu et al. 2023: how the head is cut and the tail is kept.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.balance.counts import ListCounts
from pipeline.balance.thresholds import leader

POINTS, HEADS = 300, 12


def distribution(
    pool: ListCounts, deduped: ListCounts, curated: ListCounts, lists: dict[str, pa.Array], t: dict[str, float]
) -> dict[str, Any]:
    """Counts by rank (``POINTS`` ranks, evenly spaced in ratio) of the matched pool, less duplicates, and curated.

    They are of the leading list, as each list has its own ``t``; each side is sorted by itself. ``matched`` is the
    number of its entries with matches, ``head`` that of those with more than ``t``, less duplicates; ``heads`` are the
    ``HEADS`` entries of most matches.
    """
    first = leader(pool)
    sides = {side: c.of_list(first) for side, c in {"pool": pool, "deduped": deduped, "curated": curated}.items()}
    matched = int((sides["pool"] > 0).sum())
    ranks = spread_ranks(matched, POINTS)
    heads = [
        {"entry": lists[first][int(at)].as_py(), **{side: int(c[at]) for side, c in sides.items()}}
        for at in np.argsort(-sides["pool"], kind="stable")[:HEADS]
        if sides["pool"][at]
    ]
    by_rank = {side: (-np.sort(-c))[ranks - 1].tolist() for side, c in sides.items()}
    head = int((sides["deduped"] > t[first]).sum())
    return {
        "ranks": ranks.tolist(), **by_rank, "list": first, "matched": matched, "head": head, "heads": heads, "t": t
    }  # fmt: skip


def spread_ranks(matched: int, points: int) -> np.ndarray:
    """At most ``points`` ranks from 1 to ``matched``, evenly spaced in ratio, each once; none where nothing matched."""
    return np.unique(np.round(np.geomspace(1, matched, points)).astype(int)) if matched else np.zeros(0, int)
