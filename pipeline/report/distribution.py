"""The distribution of matches over entries before and after balancing, as figures to plot.

After figure 2 of Xu et al. 2023: how the head is flattened and the tail is kept.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.balance.counts import ListCounts

POINTS, HEADS = 300, 20


def distribution(
    before: ListCounts, after: ListCounts, lists: dict[str, pa.Array], t: dict[str, float]
) -> dict[str, Any]:
    """Counts by rank (``POINTS`` ranks, evenly spaced in ratio) and the ``HEADS`` entries of most matches, both ways.

    The ranks are those of all lists' entries together, each side sorted by itself.
    """
    matched = int((before.counts > 0).sum())
    ranks = np.unique(np.round(np.geomspace(1, max(matched, 1), POINTS)).astype(int)) if matched else np.zeros(0, int)
    first, second = (-np.sort(-counts.counts) for counts in (before, after))
    heads = []
    for at in np.argsort(-before.counts, kind="stable")[:HEADS]:
        name, entry_id = before.entry_at(int(at))
        counted = {"before": int(before.counts[at]), "after": int(after.counts[at])}
        heads.append({"entry_list": name, "entry": lists[name][entry_id].as_py(), **counted})
    return {
        "ranks": ranks.tolist(),
        "before": first[ranks - 1].tolist(),
        "after": second[ranks - 1].tolist(),
        "heads": heads,
        "t": t,
    }
