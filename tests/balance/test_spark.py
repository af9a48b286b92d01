"""Balancing as DataFrames: draws of independent code, nesting, realised counts, one text an image, the cap."""

import struct

import numpy as np
import pyarrow as pa
import pytest
import xxhash

from pipeline.balance.size import grid_thresholds
from pipeline.balance.spark import (
    cap_cutoffs,
    choose,
    chosen_texts,
    count_entries,
    expected_sizes,
    only_chosen,
    survivors,
)
from pipeline.balance.thresholds import entry_limits, followed, probabilities
from pipeline.match.spark import draw

SIZES = {"en": 60, "de": 25}


def hashed(seed: int, pair_id: int) -> int:
    inner = xxhash.xxh64(struct.pack("<q", seed), seed=42).intdigest()
    return xxhash.xxh64(struct.pack("<q", pair_id), seed=inner).intdigest()


def pool(seed=0, rows=4000):
    """Pairs with Zipf-like entries: (pair_id, image_id, entry_list, entries)."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(-(2**63), 2**63 - 1, rows)
    found = []
    for pair_id in ids.tolist():
        name = "en" if rng.random() < 0.7 else "de"
        weights = 1 / np.arange(1, SIZES[name] + 1)
        picked = rng.choice(SIZES[name], size=rng.integers(1, 4), replace=False, p=weights / weights.sum())
        found.append((pair_id, f"image{rng.integers(0, rows // 3)}", name, sorted(picked.tolist())))
    return found


@pytest.fixture(scope="module")
def matched(spark):
    return spark.createDataFrame(
        pool(), "pair_id bigint, image_id string, entry_list string, entries array<int>"
    ).cache()


def drawn(matched, seed, t, mode="sample", one=False):
    rows = matched.withColumn("draw", draw(seed))
    counts = count_entries(rows, SIZES)
    limits = followed(counts, {"en": float(t)})
    chosen = chosen_texts(rows, seed) if one else None
    cutoffs = None
    if mode == "cap":
        candidates = only_chosen(rows, chosen) if one else rows
        cutoffs = cap_cutoffs(candidates, count_entries(candidates, SIZES), entry_limits(counts, limits))
    found = choose(rows, mode, counts, probabilities(counts, entry_limits(counts, limits)), cutoffs, chosen)
    return found.toArrow(), counts, limits


def kept_ids(table):
    return {
        i
        for i, reason in zip(table["pair_id"].to_pylist(), table["dropped"].to_pylist(), strict=True)
        if reason is None
    }


@pytest.mark.parametrize("seed", [0, 1, -5, 2**62])
def test_draws_are_those_of_python_xxhash(spark, seed):
    ids = [0, 1, -1, 2**63 - 1, -(2**63), 123456789]
    rows = spark.createDataFrame([(i,) for i in ids], "pair_id bigint").withColumn("draw", draw(seed)).collect()
    for row in rows:
        assert row.draw == (hashed(seed, row.pair_id) >> 11) * 2.0**-53


def test_a_smaller_t_gives_a_subset(matched):
    ten, twenty = (kept_ids(drawn(matched, 3, t)[0]) for t in (10, 20))
    assert ten < twenty


def test_kept_counts_over_seeds_are_as_expected(matched):
    """|kept - sum of keep_probability| <= 5 sqrt(V), summed over 20 seeds, for entries of variance of at least 25."""
    kept = np.zeros(sum(SIZES.values()))
    expected, variance = np.zeros_like(kept), np.zeros_like(kept)
    start = {"de": 0, "en": SIZES["de"]}
    for seed in range(20):
        table, _, _ = drawn(matched, seed, 30)
        for line in table.select(["entry_list", "entries", "keep_probability", "dropped"]).to_pylist():
            at = [start[line["entry_list"]] + e for e in line["entries"]]
            kept[at] += line["dropped"] is None
            expected[at] += line["keep_probability"]
            variance[at] += line["keep_probability"] * (1 - line["keep_probability"])
    tested = variance >= 25
    assert tested.sum() > 20
    assert (np.abs(kept - expected)[tested] <= 5 * np.sqrt(variance[tested])).all()


def test_expected_and_realised_size(matched):
    table, counts, _ = drawn(matched, 11, 25)
    expected = expected_sizes(matched, counts, grid_thresholds(counts, np.array([25.0, 1e9])))
    share = table["keep_probability"].to_numpy()
    assert expected[0] == pytest.approx(share.sum())
    assert expected[1] == matched.count()
    assert abs(len(kept_ids(table)) - expected[0]) <= 5 * np.sqrt((share * (1 - share)).sum())


def test_one_text_an_image(matched):
    table, _, _ = drawn(matched, 4, 20, one=True)
    first = {}
    for pair_id, image, *_ in pool():
        choice = (hashed(5, pair_id), pair_id)
        first[image] = min(first.get(image, choice), choice)
    others = {p[0] for p in pool()} - {pair_id for _, pair_id in first.values()}
    reasons = dict(zip(table["pair_id"].to_pylist(), table["dropped"].to_pylist(), strict=True))
    assert {i for i, reason in reasons.items() if reason == "other_text_of_image"} == others
    assert kept_ids(table) == kept_ids(drawn(matched, 4, 20)[0]) - others


@pytest.mark.parametrize("one", [False, True])
def test_cap_keeps_the_smallest_draws_of_each_entry(matched, one):
    table, _, limits = drawn(matched, 9, 15, mode="cap", one=one)
    rows = [r for r in table.to_pylist() if r["dropped"] != "other_text_of_image"]
    want = set()
    for name in SIZES:
        for entry in range(SIZES[name]):
            of_entry = sorted(
                (r["draw"], r["pair_id"]) for r in rows if r["entry_list"] == name and entry in r["entries"]
            )
            want.update(pair_id for _, pair_id in of_entry[: int(limits[name])])
    assert kept_ids(table) == want
    assert table["keep_probability"].null_count == table.num_rows


def test_none_keeps_all_with_their_probability(matched):
    table, _, _ = drawn(matched, 9, 15, mode="none")
    assert table["dropped"].null_count == table.num_rows
    assert table["keep_probability"].equals(drawn(matched, 9, 15)[0]["keep_probability"])


def test_survivors(spark, matched):
    removed = [p[0] for p in pool()[:5]]
    clusters = spark.createDataFrame(
        [(i, i, k >= 2) for k, i in enumerate(removed)], "pair_id bigint, cluster_id bigint, kept boolean"
    )
    left = {r.pair_id for r in survivors(matched, clusters).select("pair_id").collect()}
    assert left == {p[0] for p in pool()} - set(removed[:2])


def test_nothing_matched(spark, matched):
    table, counts, limits = drawn(matched.where("false"), 0, 5)
    assert table.num_rows == 0
    assert limits == {"de": 1, "en": 5}
    assert isinstance(table, pa.Table)
    assert counts.counts.sum() == 0
