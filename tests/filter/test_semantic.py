"""Semantic duplicates against brute force, and the files that embeddings come from."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.filter.options import Semantic
from pipeline.filter.semantic import near
from pipeline.filter.semantic.kmeans import centroids_of, nearest
from pipeline.filter.semantic.near import in_order, near_earlier
from pipeline.filter.semantic.spark import by_semantic, judged, of_pairs, placed, read_vectors, sample
from pipeline.filter.semantic.vectors import as_bytes, as_matrix, embedding_files, named_by, vectors_of

THRESHOLD = 0.95


def embeddings(rows: int, seed: int = 0, size: int = 32) -> np.ndarray:
    """Unit vectors in a few directions, of which a third are near one before them; no cosine is near the threshold."""
    rng = np.random.default_rng(seed)
    topics = rng.normal(size=(12, size))
    found = topics[rng.integers(0, 12, rows)] + 1.2 * rng.normal(size=(rows, size))
    for row in range(1, rows):
        if rng.random() < 1 / 3:
            found[row] = found[rng.integers(0, row)] + 0.02 * rng.normal(size=size)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32)


def brute_force(vectors: np.ndarray, ids: np.ndarray, centroids: np.ndarray, keep: str) -> set[int]:
    """The pairs that go: of each cluster all are compared with all, in order, by cosines in double precision."""
    exact, gone = vectors.astype(np.float64), set()
    labels, _ = nearest(vectors, centroids)
    for cluster in np.unique(labels):
        at = np.flatnonzero(labels == cluster)
        centre = (exact[at] @ centroids[cluster].astype(np.float64)).astype(np.float32)
        at = at[sorted(range(len(at)), key=lambda i: (centre[i] if keep == "farthest" else -centre[i], ids[at[i]]))]
        for start in range(0, len(at), 500):
            rows = np.arange(start, min(start + 500, len(at)))
            near = (exact[at[rows]] @ exact[at].T > THRESHOLD) & (np.arange(len(at)) < rows[:, None])
            gone.update(ids[at[rows[near.any(1)]]].tolist())
    return gone


@pytest.mark.parametrize("tile", [1, 7, 100, 2048])
def test_near_earlier_in_tiles(monkeypatch, tile):
    monkeypatch.setattr(near, "TILE", tile)
    vectors = embeddings(90)
    cosines = np.tril(vectors.astype(np.float64) @ vectors.T.astype(np.float64), -1)
    expected = (cosines > THRESHOLD).any(1)
    assert 10 < expected.sum() < 60
    assert near_earlier(vectors, THRESHOLD).tolist() == expected.tolist()
    assert near_earlier(vectors[:0], THRESHOLD).tolist() == []


def test_what_is_far_from_the_centre_comes_first():
    centre, ids = np.array([0.5, 0.9, 0.5, 0.1], np.float32), np.array([4, 3, 2, 1])
    assert in_order(centre, ids, "farthest").tolist() == [3, 2, 0, 1]
    assert in_order(centre, ids, "nearest").tolist() == [1, 2, 0, 3]


def test_clusters_are_found_and_the_same_again():
    rng = np.random.default_rng(3)
    axes = np.eye(8, dtype=np.float32)[rng.integers(0, 8, 400)]
    vectors = axes + 0.05 * rng.normal(size=axes.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = [centroids_of(vectors, 8, seed) for seed in (1, 1, -2)]
    assert np.array_equal(found[0], found[1])
    for centroids in found:
        assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)
        assert len(np.unique(nearest(vectors, centroids)[0])) == 8  # None is left empty.
    assert len(centroids_of(vectors[:3], 8, 0)) == 3
    assert len(centroids_of(vectors[:0], 8, 0)) == 0
    same = np.repeat(vectors[:1], 9, 0)
    assert np.allclose(centroids_of(same, 4, 0), same[:4])


def dropped_by(spark, vectors, ids, tmp_path, options, name="key", without=()):
    """The pairs by reason, with the vectors read from two files."""
    names = [f"{pair_id % 2**64:016x}" if name == "key" else f"uid{pair_id}" for pair_id in ids.tolist()]
    (tmp_path / "vectors").mkdir()
    for part in range(2):
        table = pa.table({name: names[part::2], "vector": pa.array(list(3 * vectors[part::2]), pa.list_(pa.float32()))})
        pq.write_table(table, tmp_path / "vectors" / f"{part}.parquet")
    files = sorted(str(file) for file in (tmp_path / "vectors").iterdir())
    all_ids = [*ids.tolist(), *without]
    uids = [f"uid{pair_id}" for pair_id in all_ids]
    none = pa.nulls(len(all_ids), pa.string())
    pairs = spark.createDataFrame(pa.table({"pair_id": all_ids, "source_uid": uids, "dropped": none}))
    assert named_by(files, "here") == name
    found = of_pairs(read_vectors(spark, files, name), pairs, name)
    learned = sample(found, 1.0, 5)
    assert np.allclose(learned, vectors[np.argsort(ids)], atol=1e-6)
    centroids = centroids_of(learned, options.clusters, 5)
    by_pair = by_semantic(pairs, judged(placed(found, centroids), options)).select("pair_id", "dropped").toArrow()
    reasons = dict(zip(by_pair["pair_id"].to_pylist(), by_pair["dropped"].to_pylist(), strict=True))
    return reasons, centroids


def held_against(spark, rows, tmp_path, clusters, keep="farthest", name="key", without=()):
    vectors = embeddings(rows)
    ids = np.random.default_rng(1).permutation(rows).astype(np.int64) * 7 - 3 * rows
    options = Semantic(embeddings=["x"], clusters=clusters, keep=keep, threshold=THRESHOLD)
    reasons, centroids = dropped_by(spark, vectors, ids, tmp_path, options, name, without)
    gone = {pair_id for pair_id, reason in reasons.items() if reason == "semantic_duplicate"}
    assert gone == brute_force(vectors, ids, centroids, keep)
    assert {pair_id for pair_id, reason in reasons.items() if reason == "not_embedded"} == set(without)
    return gone, brute_force(vectors, ids, centroids[:1], keep)


@pytest.mark.parametrize(("keep", "name"), [("farthest", "key"), ("nearest", "uid")])
def test_pairs_that_go_are_those_of_brute_force(spark, tmp_path, keep, name):
    gone, _ = held_against(spark, 300, tmp_path, 5, keep, name, without=(10**9,))
    assert 50 < len(gone) < 150


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [1, 20])
def test_on_20_000_embeddings(spark, tmp_path, clusters):
    gone, of_all = held_against(spark, 20_000, tmp_path, clusters)
    print(f"{clusters} clusters: {len(gone):,} pairs of 20,000 go; {len(of_all):,} by comparing all with all")
    assert len(gone) > 0.9 * len(of_all)
    assert gone == of_all or clusters > 1


def write_npy(folder, vectors, keys, name="key"):
    np.save(folder / "a.npy", vectors)
    pq.write_table(pa.table({name: keys}), folder / "a.parquet")
    return [str(folder / "a.npy"), str(folder / "a.parquet")]


def test_npy_files_have_their_keys_beside_them(tmp_path):
    vectors = embeddings(5, size=4).astype(np.float16)
    vectors[2], vectors[3, 0] = 0, np.nan
    files = embedding_files(write_npy(tmp_path, 2 * vectors, ["a", "b", "c", "d", None], "uid"))
    assert files == [str(tmp_path / "a.npy")]
    assert named_by(files, "here") == "uid"
    found = pa.Table.from_batches(vectors_of(files[0], "uid"))
    assert found["uid"].to_pylist() == ["a", "b"]
    assert np.allclose(as_matrix(found["vector"]), vectors[:2].astype(np.float32), atol=1e-3)
    assert np.allclose(np.linalg.norm(as_matrix(found["vector"]), axis=1), 1, atol=1e-6)


def test_vectors_as_bytes_and_back():
    vectors = embeddings(7)
    array = as_bytes(vectors)
    assert np.array_equal(as_matrix(pa.chunked_array([array[:3], array[3:3], array[3:]])), vectors)
    assert as_matrix(array[:0]).shape == (0, 0)


def lists(*rows):
    return pa.array(rows, pa.list_(pa.float32()))


WRONG = {
    "no column key or uid": {"id": ["a"], "vector": lists([1.0])},
    "has no column vector with lists of floats": {"key": ["a"], "vec": lists([1.0])},
    "vector with lists of floats": {"key": ["a"], "vector": [[1]]},
    "has vectors of 2 by key, .*first.parquet has 1 by key": {"key": ["a"], "vector": lists([1.0, 2.0])},
    "has vectors of 1 by uid, .*first.parquet has 1 by key": {"uid": ["a"], "vector": lists([1.0])},
}


@pytest.mark.parametrize("said", WRONG)
def test_files_that_are_no_embeddings(tmp_path, said):
    pq.write_table(pa.table({"key": ["a"], "vector": lists([1.0])}), tmp_path / "first.parquet")
    pq.write_table(pa.table(WRONG[said]), tmp_path / "wrong.parquet")
    with pytest.raises(UsageError, match=f"filter.semantic.embeddings: .*wrong.parquet: .*{said}"):
        named_by([str(tmp_path / "first.parquet"), str(tmp_path / "wrong.parquet")], "filter.semantic.embeddings")


@pytest.mark.parametrize(
    ("vectors", "keys", "said"),
    [
        (np.zeros((2, 3), np.float32), ["a"], "has 2 vectors, the Parquet file beside it 1 rows"),
        (np.zeros(3, np.float32), ["a"], "has float32 in 1 dimensions"),
        (np.zeros((1, 3), np.int64), ["a"], "has int64 in 2 dimensions, vectors of floats are allowed"),
    ],
)
def test_npy_files_that_are_no_embeddings(tmp_path, vectors, keys, said):
    with pytest.raises(UsageError, match=said):
        named_by(embedding_files(write_npy(tmp_path, vectors, keys)), "here")


def test_a_file_that_is_cut_or_uneven(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match="here: .*cut.parquet: "):
        named_by([str(tmp_path / "cut.parquet")], "here")
    pq.write_table(pa.table({"key": ["a", "b"], "vector": lists([1.0], [1.0, 2.0, 3.0])}), tmp_path / "u.parquet")
    with pytest.raises(UsageError, match="u.parquet: has vectors of 1 and of 3"):
        list(vectors_of(str(tmp_path / "u.parquet"), "key"))
