"""``python -m benchmarks.recall --texts FILE``: the clusters of MinHash beside brute force over all pairs of texts.

Near is every pair whose Jaccard similarity, by exact sets of shingles, reaches the threshold. Proposed are the pairs
that share a band; recall and precision are of those of them that pass verification, which the stage links; recall by
cluster counts near pairs that end in one cluster.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from rich.table import Table

from benchmarks.compare import read_texts, write_json
from pipeline.compiled import compiled
from pipeline.components.stars import stars
from pipeline.dedupe.bands import band_hashes, bands_and_rows, bucket_pairs
from pipeline.dedupe.jaccard import jaccards
from pipeline.dedupe.shingles import normalise, shingles
from pipeline.dedupe.signatures import coefficients, signatures
from pipeline.job import new_app, run
from pipeline.progress import results

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    most: Annotated[int, typer.Option(help="So many distinct texts.")] = 30_000,
    shingle: Annotated[int, typer.Option(help="Characters of a shingle.")] = 5,
    permutations: Annotated[int, typer.Option(help="Of a signature.")] = 128,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "recall",
) -> None:
    """Measures and reports."""
    normal = list(dict.fromkeys(normalise(text) for text in read_texts(texts)))[:most]
    table = Table(title=f"{len(normal):,} distinct texts, all pairs compared", header_style="bold")
    for heading in ("at", "bands", "near", "proposed", "near of them", "recall", "precision", "recall by cluster"):
        table.add_column(heading, justify="right")
    facts = []
    pairs, similarities = near_pairs(normal, shingle, THRESHOLDS[0])
    for threshold in THRESHOLDS:
        found = measure(normal, shingle, permutations, threshold, pairs[similarities >= threshold])
        facts.append(found)
        table.add_row(
            f"{threshold:.1f}", f"{found['bands']}x{found['rows']}", f"{found['near']:,}", f"{found['proposed']:,}",
            *(f"{found[key]:.1%}" for key in ("proposed_near", "recall", "precision", "cluster_recall")),
        )  # fmt: skip
    results.print(table)
    write_json(name, {"texts": len(normal), "shingle": shingle, "permutations": permutations, "thresholds": facts})


def measure(
    normal: list[str], shingle: int, permutations: int, threshold: float, truth: np.ndarray
) -> dict[str, float]:
    """The pairs that are found beside those that are near in truth."""
    arrow = pa.array(normal)
    bands, rows = bands_and_rows(threshold, permutations)
    scopes = np.zeros(len(normal), np.int64)
    hashes = band_hashes(signatures(arrow, coefficients(permutations), shingle), bands, rows, scopes).ravel()
    ids = np.repeat(np.arange(len(normal)), bands)
    order = np.lexsort([ids, hashes])
    proposed = np.unique(np.stack(bucket_pairs(hashes[order], ids[order]), 1), axis=0)
    left, right = (arrow.take(pa.array(proposed[:, side])) for side in (0, 1))
    linked = proposed[jaccards(left, right, shingle) >= threshold]
    cluster = np.arange(len(normal))
    nodes, smallest = stars(linked[:, 0], linked[:, 1])
    cluster[nodes] = smallest
    want, got = (set(map(tuple, pairs.tolist())) for pairs in (truth, linked))
    together = sum(cluster[a] == cluster[b] for a, b in want)
    return {
        "threshold": threshold, "bands": bands, "rows": rows, "near": len(want), "proposed": len(proposed),
        "proposed_near": len(want & set(map(tuple, proposed.tolist()))) / max(1, len(proposed)),
        "recall": len(want & got) / max(1, len(want)), "precision": len(want & got) / max(1, len(got)),
        "cluster_recall": together / max(1, len(want)),
    }  # fmt: skip


def near_pairs(normal: list[str], shingle: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (i, j), i < j, of near sets of shingles, and their similarities, by comparing every pair.

    No hash is involved. Shape (pairs, 2) and (pairs,).
    """
    numbers: dict[str, int] = {}
    sets = [sorted(numbers.setdefault(s, len(numbers)) for s in shingles(text, shingle)) for text in normal]
    offsets = np.cumsum([0, *map(len, sets)])
    flat = np.concatenate([np.array(s, np.int32) for s in sets])
    found = np.array(compare_all(flat, offsets, threshold)).reshape(-1, 3)
    return found[:, :2].astype(np.int64), found[:, 2]


@compiled
def compare_all(flat, offsets, threshold):
    """The pairs whose similarity reaches the threshold, of sorted sets flat[offsets[i]:offsets[i + 1]]."""
    found = [(0.0, 0.0, 0.0)]
    for i in range(len(offsets) - 1):
        for j in range(i + 1, len(offsets) - 1):
            a, b, common = offsets[i], offsets[j], 0
            size_a, size_b = offsets[i + 1] - a, offsets[j + 1] - b
            if min(size_a, size_b) < threshold * max(size_a, size_b):
                continue
            while a < offsets[i + 1] and b < offsets[j + 1]:
                x, y = flat[a], flat[b]
                common += x == y
                a += x <= y
                b += y <= x
            similarity = common / (size_a + size_b - common)
            if similarity >= threshold:
                found.append((float(i), float(j), similarity))
    return found[1:]


if __name__ == "__main__":
    run(app)
