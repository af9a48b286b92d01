"""Why a pair went as a near-duplicate: its cluster, the kept texts, and how near they are."""

from typing import Any

import pyarrow as pa

from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.normal import normal_texts
from pipeline.explain.asked import Set


def cluster_of(found: Set, pair: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """The cluster of a pair: its size, and the kept pairs with their Jaccard similarity, nearest first.

    ``row``: that of the pair in ``clusters``. Pairs of smallest pair_id are kept, so many as the recipe says,
    less those that were taken out later.
    """
    options = found.recipe.dedupe
    members = found.members(row["cluster_id"])
    rows = (found.row("clusters", pair_id) for pair_id in members[: options.keep_per_cluster])
    kept = [found.row("matched", other["pair_id"]) for other in rows if other is not None and other["kept"]]
    kept = [other for other in kept if other is not None]
    right = normal_texts(pa.array([other["text"] for other in kept], pa.large_string()))[0]
    left = normal_texts(pa.array([pair["text"]] * len(kept), pa.large_string()))[0]
    near = jaccards(left, right, options.shingle, options.shingle_by) if kept else []
    lines = [
        {"pair_id": other["pair_id"], "url": other["url"], "text": other["text"], "jaccard": float(share)}
        for other, share in zip(kept, near, strict=True)
    ]
    return {
        "cluster_id": row["cluster_id"],
        "members": len(members),
        "kept_here": bool(row["kept"]),
        "threshold": options.threshold,
        "kept": sorted(lines, key=lambda line: (-line["jaccard"], line["pair_id"])),
    }
