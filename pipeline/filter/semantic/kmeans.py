"""Spherical k-means over unit vectors: a centroid is the direction of its vectors' sum, the nearest by cosine."""

import numpy as np

# So many cosines are held at a time.
HELD = 1 << 24


def centroids_of(vectors: np.ndarray, clusters: int, seed: int, rounds: int = 20) -> np.ndarray:
    """The centroids of (at most) so many clusters, by rounds until no vector moves.

    The first ones are vectors drawn by the seed. A cluster that loses all of its vectors starts again at the vector
    that is farthest from its centroid. The same vectors in the same order give the same clusters.
    """
    clusters = min(clusters, len(vectors))
    if not clusters:
        return vectors
    chosen = np.random.default_rng(abs(seed)).choice(len(vectors), clusters, replace=False)
    centroids, before = vectors[np.sort(chosen)].copy(), None
    for _ in range(rounds):
        labels, cosines = nearest(vectors, centroids)
        if before is not None and np.array_equal(labels, before):
            break
        before = labels
        order = np.argsort(labels, kind="stable")
        there, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(vectors[order], starts, dtype=np.float64)
        lengths = np.linalg.norm(sums, axis=1)
        whole = lengths > 0  # Vectors that cancel out leave their centroid where it is.
        centroids[there[whole]] = sums[whole] / lengths[whole, None]
        empty = np.setdiff1d(np.arange(clusters), there)
        centroids[empty] = vectors[np.argsort(cosines, kind="stable")[: len(empty)]]
    return centroids


def nearest(vectors: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each vector the number of the nearest centroid (the first of equals) and the cosine with it."""
    labels, cosines = np.zeros(len(vectors), np.int32), np.zeros(len(vectors), np.float32)
    step = max(1, HELD // max(1, len(centroids)))
    for start in range(0, len(vectors), step):
        found = vectors[start : start + step] @ centroids.T
        labels[start : start + step] = found.argmax(1)
        cosines[start : start + step] = found.max(1)
    return labels, cosines
