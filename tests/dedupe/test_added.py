"""New texts beside old ones: the clusters are those of all texts at once, or it is said that old ones may not hold."""

import numpy as np
import pytest

from pipeline import tables
from pipeline.buckets.files import Files
from pipeline.components.spark import connect
from pipeline.dedupe.added.bitmap import Bitmap
from pipeline.dedupe.added.changes import loses
from pipeline.dedupe.added.spark import added_edges
from pipeline.dedupe.candidates import candidate_pairs
from pipeline.dedupe.spark import near_edges, write_clusters
from pipeline.recipe import Dedupe
from tests.dedupe.test_spark import SIZES, spread, write_matched

LARGE = 4


def compared(rows, large):
    """The pairs of digests that a set of rows (hash, id, digest) compares."""
    of = dict(zip(rows[1].tolist(), rows[2].tolist(), strict=True))
    a, b = candidate_pairs(*rows, large=large)
    return {frozenset((of[x], of[y])) for x, y in zip(a.tolist(), b.tolist(), strict=True)}


@pytest.mark.parametrize("seed", range(300))
def test_what_was_compared_is_compared_still_where_nothing_is_lost(seed):
    """And where it is not, a bucket is named in which something is lost."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 30))
    hashes, digest = rng.integers(0, 4, count), rng.integers(0, 12, count)
    rows = np.stack([hashes, rng.permutation(10 * count)[:count], digest])
    old = rng.random(count) < rng.random()
    before, new = tuple(rows[:, old]), tuple(rows[:, ~old])
    lost = set(loses(before, new, LARGE).tolist())
    for bucket in range(4):
        there, all_rows = (tuple(part[:, part[0] == bucket]) for part in (rows[:, old], rows))
        gone = compared(there, LARGE) - compared(all_rows, LARGE)
        assert not gone or bucket in lost


@pytest.mark.parametrize("count", [1, 1000, 100_000])
def test_a_bitmap_holds_what_was_added_and_little_else(count):
    rng = np.random.default_rng(count)
    hashes, others = (rng.integers(-(2**63), 2**63, n) for n in (count, 100_000))
    found = Bitmap(count)
    found.add(np.unique(found.places(hashes)))
    assert found.holds(hashes).all()
    assert found.holds(others).mean() < 0.05


def texts(count: int, templates: int, rng) -> list[str]:
    """Texts that are often equal, near each other, or of a template that many have."""
    found = []
    for _ in range(count):
        kind = rng.integers(0, templates)
        words = [f"word{kind}x{i}" for i in range(8)]
        if rng.random() < 0.7:
            words[int(rng.integers(0, 8))] = f"other{rng.integers(0, 300)}"
        found.append(" ".join(words))
    return found


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[] if seed == 1 else pytest.mark.slow) for seed in range(12)]
)
def test_clusters_are_those_of_all_texts_at_once(tasks, tmp_path, seed):
    rng = np.random.default_rng(seed)
    options = Dedupe(threshold=0.6, shingle=3, min_words=3, scope="image" if seed % 5 == 4 else "text")
    count, templates = (int(rng.integers(600, 1500)), seed % 2 + 1) if seed % 3 else (int(rng.integers(20, 400)), 40)
    rows = [(spread(i), str(i % 5), text) for i, text in enumerate(texts(count, templates, rng))]
    old = rng.random(count) < 0.7

    def cut(found, name):
        return tables.write(found, str(tmp_path), name)

    def write(name, some, edges, buckets):
        (tmp_path / f"clusters-{name}").mkdir()
        write_clusters(connect(edges, cut), some, str(tmp_path / f"clusters-{name}"), SIZES, 2)
        return Files.of(str(tmp_path / f"clusters-{name}"))

    def spool(name):
        (tmp_path / f"hashes-{name}").mkdir()
        return str(tmp_path / f"hashes-{name}")

    everything = write_matched(tmp_path / "all", rows, 3)
    want = write("all", everything, near_edges(tasks, everything, count, options, spool("all")), 3)
    parts = [[row for row, is_old in zip(rows, old, strict=True) if is_old == which] for which in (True, False)]
    there, new = (write_matched(tmp_path / name, part, 3) for name, part in zip(("old", "new"), parts, strict=True))
    before = write("old", there, near_edges(tasks, there, len(parts[0]), options, spool("old")), 3)
    edges = added_edges(tasks, there, new, everything, before, options, spool("new"), cut)
    got = write("got", everything, edges, 3)
    assert got.table(0, 1).equals(want.table(0, 1))
