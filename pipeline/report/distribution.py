"""The distribution of matches over entries before and after balancing, as figures to plot.

After figure 2 of Xu et al. 2023: how the head is flattened and the tail is kept.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.balance.counts import ListCounts
from pipeline.balance.thresholds import leader

POINTS, HEADS = 300, 20


def distribution(
    pool: ListCounts, deduped: ListCounts, curated: ListCounts, lists: dict[str, pa.Array], t: dict[str, float]
) -> dict[str, Any]:
    """Counts by rank (``POINTS`` ranks, evenly spaced in ratio) of the matched pool, less duplicates, and curated.

    The ranks are those of all lists' entries together, each side sorted by itself. ``heads`` are the ``HEADS`` entries
    of most matches in the leading list.
    """
    sides = {"pool": pool, "deduped": deduped, "curated": curated}
    matched = int((pool.counts > 0).sum())
    ranks = np.unique(np.round(np.geomspace(1, max(matched, 1), POINTS)).astype(int)) if matched else np.zeros(0, int)
    first = leader(pool)
    heads = [
        {"entry": lists[first][int(at)].as_py(), **{side: int(c.of_list(first)[at]) for side, c in sides.items()}}
        for at in np.argsort(-pool.of_list(first), kind="stable")[:HEADS]
        if pool.of_list(first)[at]
    ]
    by_rank = {side: (-np.sort(-c.counts))[ranks - 1].tolist() for side, c in sides.items()}
    return {"ranks": ranks.tolist(), **by_rank, "list": first, "heads": heads, "t": t}
