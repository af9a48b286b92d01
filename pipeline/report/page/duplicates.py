"""Near-duplicates: how large their clusters are, and examples side by side with what differs."""

from difflib import SequenceMatcher
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.buckets.files import Files
from pipeline.report.page.samples import clipped
from pipeline.report.page.source import Output

MOST_MEMBERS, EXAMPLES, LOOKED_AT = 4_000_000, 12, 60


def figures(output: Output) -> dict[str, Any] | None:
    """Clusters by size (2, 3-4, 5-8, … members), and examples: a text that stayed, one that went, what differs."""
    if not output.has("clusters"):
        return None
    members = read_members(output.files("clusters"))
    if not len(members["cluster_id"]):
        return None
    _, sizes = np.unique(members["cluster_id"], return_counts=True)
    upper = 2 ** np.arange(1, int(np.ceil(np.log2(max(2, sizes.max())))) + 1)
    group = np.searchsorted(upper, sizes)
    lower = np.concatenate([[2], upper[:-1] + 1])
    scale = members["scale"]
    by_size = [
        {"from": int(low), "to": int(high), "clusters": round(int((group == at).sum()) * scale),
         "members": round(int(sizes[group == at].sum()) * scale)}
        for at, (low, high) in enumerate(zip(lower, upper, strict=True))
    ]  # fmt: skip
    notes = output.notes("dedupe")
    return {
        "by_size": by_size,
        "largest": int(sizes.max()),
        "share": 1 / scale,
        "examples": examples(output, members),
        "by_words": notes.get("removed_by_words", {}),
        "lost_most": notes.get("entries_that_lost_most", []),
    }


def read_members(clusters: Files) -> dict[str, Any]:
    """pair_id, cluster_id, kept of all members; of very many, those of a random share 1/``scale`` of the clusters."""
    below, scale, held = None, 1, []
    for path in clusters.paths:
        for batch in Files((path,)).read(0, 1, ["pair_id", "cluster_id", "kept"]):
            held.append(batch if below is None else batch.filter(pc.less(batch.column("cluster_id"), below)))
            while sum(one.num_rows for one in held) > MOST_MEMBERS:
                ids = np.concatenate([one.column("cluster_id").to_numpy() for one in held])
                below, scale = int(np.median(ids)), scale * 2
                held = [one.filter(pc.less(one.column("cluster_id"), below)) for one in held]
    table = pa.Table.from_batches(held, None if held else clusters.schema())
    columns = {name: table[name].to_numpy() for name in ("pair_id", "cluster_id", "kept")}
    return columns | {"scale": scale}


def examples(output: Output, members: dict[str, Any]) -> list[dict[str, Any]]:
    """Clusters of every size, each with a text that stayed and one that went and is another text.

    Of clusters with members of both kinds in the sample ``matched``.
    """
    ids, sizes = np.unique(members["cluster_id"], return_counts=True)
    sample = output.matched["pair_id"].to_numpy()
    here = np.flatnonzero(np.isin(members["pair_id"], sample))
    order = here[np.lexsort((~members["kept"][here], members["cluster_id"][here]))]
    cluster, kept = members["cluster_id"][order], members["kept"][order]
    starts = np.flatnonzero(np.r_[True, cluster[1:] != cluster[:-1]]) if len(order) else np.zeros(0, np.int64)
    ends = np.r_[starts[1:], len(order)]
    mixed = np.flatnonzero(kept[starts] & ~kept[ends - 1]) if len(order) else np.zeros(0, np.int64)
    of_size = sizes[np.searchsorted(ids, cluster[starts[mixed]])]
    by_size = mixed[np.argsort(-of_size, kind="stable")]
    found = []
    for at in np.unique(np.concatenate([by_size[:10], mixed[:: max(1, len(mixed) // LOOKED_AT)]])).tolist():
        rows = order[starts[at] : min(ends[at], starts[at] + 50)]
        texts = [output.matched["text"][int(np.searchsorted(sample, members["pair_id"][row]))].as_py() for row in rows]
        gone = (text for text, row in zip(texts, rows, strict=True) if not members["kept"][row])
        if other := next((text for text in gone if text != texts[0]), None):
            size = int(sizes[np.searchsorted(ids, cluster[starts[at]])])
            found.append({"size": size, "pieces": differences(clipped(texts[0]), clipped(other))})
    return sorted(found, key=lambda one: -one["size"])[:: max(1, len(found) // EXAMPLES)][:EXAMPLES]


def differences(stayed: str, gone: str) -> list[tuple[str, str]]:
    """Two texts as pieces, each with who has it: ``both``, ``stayed`` or ``gone``; word by word."""
    a, b = stayed.split(" "), gone.split(" ")
    pieces = []
    for _, a_start, a_end, b_start, b_end in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        left, right = " ".join(a[a_start:a_end]), " ".join(b[b_start:b_end])
        if left == right:
            pieces.append(("both", left))
        else:
            pieces += [(side, text) for side, text in (("stayed", left), ("gone", right)) if text]
    return pieces
