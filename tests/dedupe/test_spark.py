"""Clusters against brute force over all pairs, and connected components against a union-find."""

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import xxhash
from datasketch import MinHash

from pipeline import tables
from pipeline.components.spark import connect
from pipeline.dedupe.bands import LARGE_BUCKET, bands_and_rows
from pipeline.dedupe.shingles import long_enough, normalise, shingles
from pipeline.dedupe.signatures import SEED
from pipeline.dedupe.spark import candidates, clusters
from pipeline.recipe import Dedupe


@pytest.fixture
def cut(tmp_path):
    return lambda rows, name: tables.write(rows, str(tmp_path), name)


def components(edges):
    parent = {}

    def root(x):
        parent.setdefault(x, x)
        while parent[x] != x:
            parent[x] = x = parent[parent[x]]
        return x

    for a, b in edges:
        a, b = root(a), root(b)
        parent[max(a, b)] = min(a, b)
    return {x: root(x) for x in list(parent)}


def jaccard(a, b):
    return len(a & b) / len(a | b)


def connected(spark, edges, cut, one_task):
    found = connect(spark.createDataFrame(edges, "a bigint, b bigint"), cut, one_task).toArrow().to_pylist()
    assert len({line["pair_id"] for line in found}) == len(found)
    return {line["pair_id"]: line["cluster_id"] for line in found}


@pytest.mark.parametrize("one_task", [0, 1_000_000])
def test_components_of_random_graphs_paths_and_stars(spark, cut, one_task):
    rng = random.Random(1)
    shuffled = rng.sample(range(-3000, 3000), 600)
    path = list(zip(shuffled, shuffled[1:], strict=False))
    star = [(5000, i) for i in range(5001, 5400)]
    graph = [(rng.randrange(10_000, 11_000), rng.randrange(10_000, 11_000)) for _ in range(500)]
    edges = [*path, *star, *graph, (7, 7)]
    want = components(e for e in edges if e[0] != e[1])
    assert connected(spark, edges, cut, one_task) == want


@pytest.mark.parametrize("one_task", [0, 1_000_000])
def test_no_edges(spark, cut, one_task):
    assert connected(spark, [], cut, one_task) == {}


@pytest.mark.parametrize("shape", ["path", "star"])
def test_a_long_path_and_a_large_star_take_few_rounds(spark, cut, shape):
    nodes = random.Random(2).sample(range(-(2**61), 2**61), 100_000)
    ends = list(zip(nodes, nodes[1:], strict=False)) if shape == "path" else [(nodes[0], node) for node in nodes[1:]]
    random.Random(3).shuffle(ends)
    a, b = (pa.array(column, pa.int64()) for column in zip(*ends, strict=True))
    edges = spark.createDataFrame(pa.table({"a": a, "b": b})).repartition(16)
    rounds = []

    def counted(rows, name):
        rounds.append(name)
        return cut(rows, name)

    found = connect(edges, counted, one_task=0).toArrow()
    assert pc.unique(found["cluster_id"]).to_pylist() == [min(nodes)]
    assert sorted(found["pair_id"].to_pylist()) == sorted(nodes)
    assert len(rounds) <= 8


def make_texts(count=500, seed=3):
    rng = random.Random(seed)
    words = "stock photo of a the red blue green old new house cat dog river tree by night under sky".split()
    base = [" ".join(rng.choices(words, k=rng.randint(3, 12))) for _ in range(count // 4)]
    texts = []
    for _ in range(count):
        text = rng.choice(base)
        if rng.random() < 0.6:
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice("abc ") + text[at + rng.randint(0, 1) :]
        texts.append(text.upper() if rng.random() < 0.1 else text)
    return texts


@pytest.mark.parametrize("scope", ["text", "image"])
def test_clusters_against_all_pairs(spark, cut, scope):
    options = Dedupe(scope=scope, threshold=0.7, permutations=256, shingle=4, min_words=4, keep_per_cluster=2)
    texts = make_texts()
    rows = [(i * 37 - 9000, f"image{i % 3}", text) for i, text in enumerate(texts)]
    found = clusters(spark.createDataFrame(rows, "pair_id bigint, image_id string, text string"), options, cut)
    got = {line["pair_id"]: (line["cluster_id"], line["kept"]) for line in found.toArrow().to_pylist()}

    # A pair is found where datasketch's signatures agree in a band; what the bands miss is the method's own loss.
    bands, per_band = bands_and_rows(0.7, 256)
    normal = {i: normalise(text) for i, _, text in rows}
    compared = [(i, image) for i, image, _ in rows if long_enough(normal[i], 4)]
    sets = {i: shingles(normal[i], 4) for i, _ in compared}
    banded = {}
    for i, _ in compared:
        sketch = MinHash(256, seed=SEED, hashfunc=xxhash.xxh32_intdigest)
        sketch.update_batch(s.encode() for s in sets[i])
        banded[i] = {(k, tuple(sketch.hashvalues[k * per_band : (k + 1) * per_band])) for k in range(bands)}
    near, missed = [], 0
    for k, (a, image_a) in enumerate(compared):
        for b, image_b in compared[k + 1 :]:
            if (scope == "text" or image_a == image_b) and jaccard(sets[a], sets[b]) >= 0.7:
                near += [(a, b)] if banded[a] & banded[b] else []
                missed += not banded[a] & banded[b]
    want = components(near)
    assert {i: cluster for i, (cluster, _) in got.items()} == want
    assert missed < len(near) / 2
    for cluster in {c for c, _ in got.values()}:
        members = sorted(i for i, (c, _) in got.items() if c == cluster)
        assert members[0] == cluster
        assert len(members) > 1
        assert [i for i in members if got[i][1]] == members[:2]


def test_equal_texts_are_one_cluster_however_many(spark, cut):
    rows = [
        (i, "x", "the same boilerplate text again" if i % 2 else "THE same  boilerplate text again")
        for i in range(5000)
    ]
    found = clusters(spark.createDataFrame(rows, "pair_id bigint, image_id string, text string"), Dedupe(), cut)
    lines = found.toArrow().to_pylist()
    assert len(lines) == 5000
    assert {line["cluster_id"] for line in lines} == {0}
    assert sorted(line["pair_id"] for line in lines if line["kept"]) == list(range(10))


def test_a_large_bucket_makes_a_star(spark, cut):
    # One template: all are near all, so the smallest finds them, and the pairs compared stay few.
    texts = [f"the product page of our shop, please see offer number {i:04d} in the list" for i in range(2000)]
    options = Dedupe(threshold=0.7, shingle=3)
    rows = [(i, "x", text) for i, text in enumerate(texts)]
    heads = spark.createDataFrame([(i, 0, text) for i, _, text in rows], "head bigint, scope bigint, normal string")
    bands, _ = bands_and_rows(0.7, 128)
    assert candidates(heads, options).count() < 2000 * LARGE_BUCKET * bands / 2
    found = clusters(spark.createDataFrame(rows, "pair_id bigint, image_id string, text string"), options, cut)
    assert found.select("cluster_id").distinct().count() == 1
    assert found.count() == 2000
