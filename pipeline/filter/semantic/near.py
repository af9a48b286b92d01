"""Which vectors of a cluster are near one that comes before them, in tiles, so that no whole matrix is held."""

import numpy as np

TILE = 2048


def near_earlier(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """For each unit vector, in order, whether its cosine with an earlier one is above the threshold.

    As SemDeDup has it, that earlier one may be dropped itself: what is near by way of others goes, too.
    """
    found = np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), TILE):
        rows = vectors[start : start + TILE]
        for before in range(0, start + 1, TILE):
            cosines = rows @ vectors[before : before + TILE].T
            if before == start:
                cosines[np.triu_indices(len(rows))] = -2.0  # Only what comes before counts.
            found[start : start + TILE] |= (cosines > threshold).any(1)
    return found


def in_order(centre: np.ndarray, pair_ids: np.ndarray, keep: str) -> np.ndarray:
    """The order in which the pairs of a cluster are kept, by cosine with its centroid, then by pair_id.

    ``farthest`` first, as in the paper, or ``nearest`` first.
    """
    return np.lexsort((pair_ids, centre if keep == "farthest" else -centre))
