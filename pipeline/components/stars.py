"""Connected components of the edges that one task holds, by union-find in compiled code."""

import numpy as np

from pipeline.compiled import compiled


def stars(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each node of the edges (a, b) that is not the smallest of its component: the node, and that smallest one."""
    nodes, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    parent = np.arange(len(nodes))
    unite(places[: len(a)], places[len(a) :], parent)
    others = np.flatnonzero(parent != np.arange(len(nodes)))
    return nodes[others], nodes[parent[others]]


@compiled
def unite(a, b, parent):
    """Joins the sets of the ends of each edge; afterwards parent[i] is the smallest member of i's set."""
    for edge in range(len(a)):
        x, y = a[edge], b[edge]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        parent[max(x, y)] = min(x, y)
    # A parent is never larger than its child, so that one pass in order settles all.
    for i in range(len(parent)):
        parent[i] = parent[parent[i]]
