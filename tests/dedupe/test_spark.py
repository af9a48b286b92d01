"""Clusters against brute force over all pairs, and connected components against a union-find."""

import random
import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import xxhash
from datasketch import MinHash

from pipeline import tables
from pipeline.balance.counts import ListCounts
from pipeline.buckets.blocks import rows_of
from pipeline.buckets.files import Files
from pipeline.buckets.spark import run_tasks, shuffle
from pipeline.components.spark import connect
from pipeline.dedupe import spark as dedupe
from pipeline.dedupe.bands import LARGE_BUCKET, bands_and_rows
from pipeline.dedupe.shingles import long_enough, normalise, shingles
from pipeline.dedupe.signatures import SEED
from pipeline.dedupe.spark import PAIRS, hasher, near_edges, proposer, words_of, write_clusters
from pipeline.recipe import Dedupe
from tests.buckets.written import write_table

SIZES = {"a": 3, "b": 2}


@pytest.fixture
def cut(tmp_path):
    return lambda rows, name: tables.write(rows, str(tmp_path), name)


def spread(number: int) -> int:
    """A pair_id of its own for each number, in any bucket."""
    return number * 0x9E3779B97F4A7C15 % 2**64 - 2**63


def write_matched(folder, rows, buckets):
    """``matched`` of (pair_id, image_id, text), with entries by the row's place."""
    ids, images, texts = zip(*rows, strict=True) if rows else ((), (), ())
    lists = pa.array(["ab"[i % 2] for i in range(len(rows))], pa.string())
    entries = pa.array([[i % 2, *([2] if i % 6 == 0 else [])] for i in range(len(rows))], pa.list_(pa.int32()))
    table = pa.table(
        {
            "pair_id": pa.array(ids, pa.int64()), "image_id": pa.array(images, pa.string()), "text": pa.array(texts, pa.string()),
            "entry_list": lists, "entries": entries,
        }
    )  # fmt: skip
    return write_table(folder, table, buckets)


def clusters(session, rows, options, cut, tmp_path, buckets=3, pool=None):
    """The clusters, as {pair_id: (cluster_id, kept)}, and what was counted; of rows in so many buckets.

    ``pool``: for how many rows the tasks are made, so that there are several.
    """
    matched = write_matched(tmp_path / "matched", rows, buckets)
    for name in ("hashes", "clusters"):
        (tmp_path / name).mkdir()
    edges = near_edges(session, matched, len(rows) if pool is None else pool, options, str(tmp_path / "hashes"))
    found = write_clusters(connect(edges, cut), matched, str(tmp_path / "clusters"), SIZES, options.keep_per_cluster)
    files = sorted((tmp_path / "clusters").iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(buckets)]
    lines = [line for file in files for line in pq.read_table(file).to_pylist()]
    assert [line["pair_id"] for line in lines] == sorted({line["pair_id"] for line in lines})
    got = {line["pair_id"]: (line["cluster_id"], line["kept"]) for line in lines}
    check_removed(rows, got, found)
    return got


def check_removed(rows, got, found):
    """What was removed is counted by words, and by entry."""
    words, counts, pairs = Counter(), Counter(), Counter()
    for i, (pair_id, _, text) in enumerate(rows):
        if not got.get(pair_id, (0, True))[1]:
            words["words", str(len(re.split(r"[ \t\n\x0b\f\r]+", text.strip(" "))))] += 1
            pairs["ab"[i % 2]] += 1
            counts.update(("ab"[i % 2], entry) for entry in [i % 2, *([2] if i % 6 == 0 else [])])
    assert {line: rows for line, rows in found.lines.items() if line[0] == "words"} == words
    removed = ListCounts.of_totals(SIZES, found)
    assert removed.pairs == {name: pairs[name] for name in SIZES}
    assert removed.counts.tolist() == [counts[name, entry] for name in SIZES for entry in range(SIZES[name])]


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


@pytest.mark.parametrize("one_task", [pytest.param(0, marks=pytest.mark.slow), 1_000_000])
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


@pytest.mark.parametrize("shape", ["path", pytest.param("star", marks=pytest.mark.slow)])
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


@pytest.mark.parametrize(("scope", "buckets", "pool"), [("text", 5, 500_000), ("image", 3, None)])
def test_clusters_against_all_pairs(tasks, cut, tmp_path, scope, buckets, pool):
    options = Dedupe(scope=scope, threshold=0.7, permutations=256, shingle=4, min_words=4, keep_per_cluster=2)
    texts = make_texts()
    rows = [(spread(i), f"image{i % 3}", text) for i, text in enumerate(texts)]
    got = clusters(tasks, rows, options, cut, tmp_path, buckets, pool)

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


def test_equal_texts_are_one_cluster_however_many(local, cut, tmp_path):
    rows = [
        (spread(i), "x", "the same boilerplate text again" if i % 2 else "THE same  boilerplate text again")
        for i in range(5000)
    ]
    got = clusters(local, rows, Dedupe(), cut, tmp_path, pool=500_000)
    ids = sorted(row[0] for row in rows)
    assert sorted(got) == ids
    assert {cluster for cluster, _ in got.values()} == {ids[0]}
    assert sorted(i for i, (_, kept) in got.items() if kept) == ids[:10]


def test_equal_texts_of_several_images(local, cut, tmp_path):
    """Within an image they are one cluster, and across images none."""
    rows = [(spread(i), f"image{i % 4}", f"{'THE' if i % 3 else 'the'} same boilerplate text again") for i in range(41)]
    got = clusters(
        local, [*rows, (spread(99), "alone", rows[0][2])], Dedupe(scope="image", keep_per_cluster=1), cut, tmp_path
    )
    for image in {image for _, image, _ in rows}:
        ids = sorted(i for i, of, _ in rows if of == image)
        assert {got[i] for i in ids[1:]} == {(ids[0], False)}
        assert got[ids[0]] == (ids[0], True)
    assert spread(99) not in got


def test_a_large_bucket_makes_a_star(local, cut, tmp_path):
    # One template: all are near all, so the smallest finds them, and the pairs compared stay few.
    texts = [f"the product page of our shop, please see offer number {i:04d} in the list" for i in range(2000)]
    options = Dedupe(threshold=0.7, shingle=3)
    rows = [(spread(i), "x", text) for i, text in enumerate(texts)]
    got = clusters(local, rows, options, cut, tmp_path)
    assert {cluster for cluster, _ in got.values()} == {min(row[0] for row in rows)}
    assert len(got) == 2000
    bands, _ = bands_and_rows(0.7, 128)
    (tmp_path / "spool").mkdir()
    files = Files.of(str(tmp_path / "matched"))
    hashed = run_tasks(local, list(enumerate(files.paths)), hasher(options, 4, str(tmp_path / "spool")))
    proposed = shuffle(hashed, 4, proposer(3, options.threshold)).toArrow()
    proposed = proposed.filter(pc.equal(proposed["part"], PAIRS))
    compared = sum(rows_of(batch, row).num_rows for batch in proposed.to_batches() for row in range(batch.num_rows))
    assert 2000 <= compared < 2000 * LARGE_BUCKET * bands / 2


@pytest.mark.parametrize("most", [1, 100, 64 << 20])
def test_texts_are_sent_a_few_at_a_time(tmp_path, monkeypatch, most):
    """With every candidate the text of its smaller pair, in the order of the other's bucket; each once."""
    monkeypatch.setattr(dedupe, "SENT_BYTES", most)
    rows = [(spread(i), "x", f"Text of  number {i}") for i in range(30)]
    matched, texts = write_matched(tmp_path / "matched", rows, 3), {row[0]: normalise(row[2]) for row in rows}
    mine = sorted(i for i in texts if i < -(2**63) + 2**64 // 3)
    pairs = [(a, b) for a in mine for b in texts if a < b]
    a, b = (pa.array(column, pa.int64()) for column in zip(*pairs, strict=True))
    tables_there = [
        pa.table({"a": a[at : at + 7], "b": b[at : at + 7]}) for at in range(0, len(pairs), 5)
    ]  # some twice
    sent = list(dedupe.reader_of_left(matched)(0, iter([(PAIRS, iter(tables_there))])))
    assert (len(sent) > 1) == (most < 1000)
    found = [
        (batch["target"][row].as_py(), *line.values())
        for batch in sent
        for row in range(batch.num_rows)
        for line in rows_of(batch, row).to_pylist()
    ]
    assert sorted(found) == sorted(((b + 2**63) * 3 >> 64, a, b, texts[a]) for a, b in pairs)


@pytest.mark.parametrize("texts", [[], ["short"], ["one text alone of its kind", "and another that is not like it"]])
def test_nothing_is_near(local, cut, tmp_path, texts):
    assert clusters(local, [(spread(i), "x", text) for i, text in enumerate(texts)], Dedupe(), cut, tmp_path) == {}


def test_words_are_parted_by_white_space_as_spark_parts_them(spark):
    texts = ["a b", " a  b ", "\ta\n b\r", "", " ", "a\u00a0b", "a\x0bb\fc", "a\x1cb", "\u3000a", "one"]
    rows = spark.createDataFrame(pa.table({"text": texts}))
    want = rows.selectExpr(r"size(split(trim(text), '\\s+')) as words").toArrow()["words"].to_pylist()
    assert words_of(pa.array(texts)).to_pylist() == want
