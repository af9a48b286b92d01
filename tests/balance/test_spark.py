"""Balancing by tasks: draws of independent code, nesting, realised counts, one text an image, the cap, weights."""

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline import tables
from pipeline.balance.cap import Cutoffs
from pipeline.balance.counts import WEIGHT_UNIT, ListCounts
from pipeline.balance.draw import COLUMNS, Draw
from pipeline.balance.pool import Pool
from pipeline.balance.size import grid_thresholds
from pipeline.balance.spark import (
    ABOVE_FIRST,
    EXPECTED,
    KEPT,
    SIZE_UNIT,
    count_drawn,
    count_entries,
    count_pairs,
    expected_sizes,
    find_cutoffs,
    write_drawn,
)
from pipeline.balance.texts.spark import choose_texts, count_texts
from pipeline.balance.thresholds import entry_limits, followed, probabilities
from pipeline.buckets.files import Files
from tests.buckets.written import write_table

SIZES = {"en": 60, "de": 25}
START = {"de": 0, "en": 25}


def hashed(seed: int, pair_id: int) -> int:
    inner = xxhash.xxh64(struct.pack("<q", seed), seed=42).intdigest()
    return xxhash.xxh64(struct.pack("<q", pair_id), seed=inner).intdigest()


def pairs(seed=0, rows=4000):
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


PAIRS = pairs()


def with_draws(seed, found=None) -> pa.Table:
    ids, images, lists, entries = zip(*(PAIRS if found is None else found), strict=True)
    draws = [(hashed(seed, pair_id) >> 11) * 2.0**-53 for pair_id in ids]
    entries = pa.array(entries, pa.list_(pa.int32()))
    return pa.table({"pair_id": ids, "image_id": images, "entry_list": lists, "entries": entries, "draw": draws})


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    """The pool with the draws of a seed, in six buckets."""
    folder, made = tmp_path_factory.mktemp("matched"), {}

    def of(seed):
        if seed not in made:
            made[seed] = Pool(write_table(folder / str(seed), with_draws(seed), 6))
        return made[seed]

    return of


@pytest.fixture(scope="module")
def counts(spark, matched):
    return count_entries(spark, matched(3), SIZES)


def limits_of(counts, t):
    return followed(counts, {"en": float(t)})


def draw_of(spark, pool, counts, t, mode="sample"):
    limits = entry_limits(counts, limits_of(counts, t))
    cutoffs = None
    if mode == "cap":
        capped = count_entries(spark, pool, SIZES)
        cutoffs = find_cutoffs(spark, pool, Cutoffs.start(capped.counts, limits), counts.starts)
    return Draw(mode, counts.starts, probabilities(counts, limits), cutoffs)


def drawn(spark, pool, draw, folder, files=3):
    """What was counted, and the table that was written."""
    schema = tables.with_columns(pool.pairs.schema(), keep_probability=tables.DOUBLE)
    folder.mkdir(parents=True)
    found = count_drawn(spark, pool, draw, SIZES)
    write_drawn(spark, pool, draw, str(folder), files, schema)
    written = sorted(folder.iterdir())
    assert [file.name for file in written] == [f"part-{i:05d}.parquet" for i in range(files)]
    table = pa.concat_tables([pq.read_table(file) for file in written])
    assert table["pair_id"].to_pylist() == sorted(table["pair_id"].to_pylist())
    assert found.lines[KEPT, None] == table.num_rows
    kept = ListCounts.of_totals(SIZES, found)
    assert kept.counts.tolist() == counted(
        zip(*(table[name].to_pylist() for name in ("entry_list", "entries")), strict=True)
    )
    return found.lines, table


def counted(matches) -> list[int]:
    flat = np.zeros(sum(SIZES.values()), np.int64)
    for name, entries in matches:
        flat[[START[name] + entry for entry in entries]] += 1
    return flat.tolist()


def kept_ids(table):
    return set(table["pair_id"].to_pylist())


def decided(pool, draw):
    """(pair, kept, keep probability) of every pair, without Spark."""
    for batch in pool.read(0, 1, COLUMNS):
        kept, share = draw.decide(batch)
        yield from zip(batch.to_pylist(), kept.tolist(), share.tolist(), strict=True)


def test_entries_are_counted(counts):
    assert counts.counts.tolist() == counted((name, entries) for _, _, name, entries in PAIRS)
    assert counts.pairs == {name: sum(pair[2] == name for pair in PAIRS) for name in ("de", "en")}


def test_a_smaller_t_gives_a_subset(spark, matched, counts, tmp_path):
    kept = {}
    for t in (10, 20):
        draw = draw_of(spark, matched(3), counts, t)
        lines, table = drawn(spark, matched(3), draw, tmp_path / str(t))
        kept[t] = kept_ids(table)
        assert kept[t] == {line["pair_id"] for line, stays, _ in decided(matched(3), draw) if stays}
        assert lines["not_drawn", None] == len(PAIRS) - len(kept[t])
    assert kept[10] < kept[20]


def test_keep_probabilities_by_the_formula(spark, matched, counts, tmp_path):
    """1 - prod(1 - min(1, t / count)), in exact fractions; a pair is kept where its draw is below it."""
    limits = limits_of(counts, 30)
    _, table = drawn(spark, matched(3), draw_of(spark, matched(3), counts, 30), tmp_path / "t")
    share = {}
    for pair_id, _, name, entries in PAIRS:
        gone = Fraction(1)
        for entry in entries:
            gone *= 1 - min(Fraction(1), Fraction(limits[name]) / int(counts.of_list(name)[entry]))
        share[pair_id] = float(1 - gone)
    for line in table.to_pylist():
        assert line["keep_probability"] == pytest.approx(share[line["pair_id"]], rel=1e-12)
    assert kept_ids(table) == {i for i, p in share.items() if (hashed(3, i) >> 11) * 2.0**-53 < p}


def test_kept_counts_over_seeds_are_as_expected(spark, matched, counts):
    """|kept - sum of keep_probability| <= 5 sqrt(V), summed over 20 seeds, for entries of variance of at least 25."""
    kept = np.zeros(sum(SIZES.values()))
    expected, variance = np.zeros_like(kept), np.zeros_like(kept)
    draw = draw_of(spark, matched(3), counts, 30)
    for seed in range(20):
        for line, stays, share in decided(matched(seed), draw):
            at = [START[line["entry_list"]] + e for e in line["entries"]]
            kept[at] += stays
            expected[at] += share
            variance[at] += share * (1 - share)
    tested = variance >= 25
    assert tested.sum() > 20
    assert (np.abs(kept - expected)[tested] <= 5 * np.sqrt(variance[tested])).all()


def test_expected_and_realised_size(spark, matched, counts, tmp_path):
    pool = matched(11)
    draw = draw_of(spark, pool, counts, 25)
    lines, table = drawn(spark, pool, draw, tmp_path / "t")
    expected = expected_sizes(spark, pool, counts, grid_thresholds(counts, np.array([25.0, 1e9])))
    share = np.array([share for _, _, share in decided(pool, draw)])
    assert expected[0] == pytest.approx(share.sum())
    assert lines[EXPECTED, None] / SIZE_UNIT == pytest.approx(share.sum())
    assert expected[1] == len(PAIRS)
    assert abs(table.num_rows - expected[0]) <= 5 * np.sqrt((share * (1 - share)).sum())


def first_texts(seed, found=PAIRS):
    first = {}
    for pair_id, image, *_ in found:
        choice = (hashed(seed + 1, pair_id), pair_id)
        first[image] = min(first.get(image, choice), choice)
    return {pair_id for _, pair_id in first.values()}


def with_one_text(spark, pool, seed, tmp_path):
    for name in ("chosen", "spool"):
        (tmp_path / name).mkdir()
    return replace(pool, chosen=choose_texts(spark, pool, seed, str(tmp_path / "chosen"), str(tmp_path / "spool")))


def test_one_text_an_image(spark, matched, counts, tmp_path):
    pool = with_one_text(spark, matched(4), 4, tmp_path)
    ids = [i for bucket in range(6) for batch in pool.chosen.read(bucket, 6) for i in batch["pair_id"].to_pylist()]
    assert ids == sorted(first_texts(4))
    draw = draw_of(spark, matched(4), counts, 20)
    lines, table = drawn(spark, pool, draw, tmp_path / "one")
    everything = {line["pair_id"] for line, stays, _ in decided(matched(4), draw) if stays}
    assert kept_ids(table) == everything & first_texts(4)
    assert lines["other_text_of_image", None] == len(PAIRS) - len(first_texts(4))
    assert lines["not_drawn", None] == len(first_texts(4) - everything)


@pytest.mark.parametrize("one", [False, True])
def test_cap_keeps_the_smallest_draws_of_each_entry(spark, matched, counts, tmp_path, one):
    pool = with_one_text(spark, matched(9), 9, tmp_path) if one else matched(9)
    limits = limits_of(counts, 15)
    lines, table = drawn(spark, pool, draw_of(spark, pool, counts, 15, "cap"), tmp_path / "t")
    chosen = first_texts(9) if one else {pair[0] for pair in PAIRS}
    rows = [row for row in with_draws(9).to_pylist() if row["pair_id"] in chosen]
    want = set()
    for name in SIZES:
        for entry in range(SIZES[name]):
            of_entry = sorted(
                (r["draw"], r["pair_id"]) for r in rows if r["entry_list"] == name and entry in r["entries"]
            )
            want.update(pair_id for _, pair_id in of_entry[: int(limits[name])])
    assert kept_ids(table) == want
    assert lines["over_cap", None] == len(chosen) - len(want)
    assert lines["other_text_of_image", None] == len(PAIRS) - len(chosen)
    assert table["keep_probability"].null_count == table.num_rows


def test_none_keeps_all_with_their_probability(spark, matched, counts, tmp_path):
    _, table = drawn(spark, matched(9), draw_of(spark, matched(9), counts, 15, "none"), tmp_path / "none")
    assert table.num_rows == len(PAIRS)
    share = dict(zip(table["pair_id"].to_pylist(), table["keep_probability"].to_pylist(), strict=True))
    _, some = drawn(spark, matched(9), draw_of(spark, matched(9), counts, 15), tmp_path / "sample")
    assert 0 < some.num_rows < len(PAIRS)
    for pair_id, keep in zip(some["pair_id"].to_pylist(), some["keep_probability"].to_pylist(), strict=True):
        assert share[pair_id] == keep


@pytest.mark.parametrize("mode", ["sample", "cap"])
def test_the_bytes_do_not_depend_on_the_buckets_of_the_pool(spark, matched, counts, tmp_path, mode):
    found = set()
    for buckets in (1, 5):
        pool = Pool(write_table(tmp_path / f"{buckets}", with_draws(3), buckets))
        drawn(spark, pool, draw_of(spark, pool, counts, 20, mode), tmp_path / f"out-{buckets}")
        found.add(tuple(file.read_bytes() for file in sorted((tmp_path / f"out-{buckets}").iterdir())))
    assert len(found) == 1


def write_clusters(folder: Path, buckets: int) -> tuple[Files, set[int]]:
    """Every seventh pair is in a cluster, and every fourteenth was removed."""
    some = [pair[0] for pair in PAIRS[::7]]
    kept = [k % 2 == 0 for k in range(len(some))]
    rows = pa.table({"pair_id": some, "cluster_id": some, "kept": kept})
    return write_table(folder, rows, buckets), {i for i, stays in zip(some, kept, strict=True) if not stays}


@pytest.mark.parametrize("buckets", [1, 6, 7])
def test_removed_duplicates_are_not_drawn(spark, matched, tmp_path, buckets):
    clusters, removed = write_clusters(tmp_path / "clusters", buckets)
    pool = replace(matched(3), clusters=clusters)
    for read in (1, 4, 6):
        ids = [
            i for bucket in range(read) for batch in pool.read(bucket, read, []) for i in batch["pair_id"].to_pylist()
        ]
        assert ids == sorted({pair[0] for pair in PAIRS} - removed)
    left = [pair for pair in PAIRS if pair[0] not in removed]
    assert count_entries(spark, pool, SIZES).counts.tolist() == counted((pair[2], pair[3]) for pair in left)
    pool = with_one_text(spark, pool, 3, tmp_path)
    ids = [i for batch in pool.chosen.read(0, 1) for i in batch["pair_id"].to_pylist()]
    assert set(ids) == first_texts(3, left)


@pytest.mark.parametrize("one", [False, True])
def test_survivors_are_weighted_by_what_they_stand_for(spark, matched, counts, tmp_path, one):
    """1/k1 in whole parts, times the texts of its image where one of them was chosen; k2 above k1 is counted."""
    first = draw_of(spark, matched(3), counts, 40)
    _, curated = drawn(spark, matched(3), first, tmp_path / "first")
    pool = Pool(Files.of(str(tmp_path / "first")), weighted=True)
    texts = dict.fromkeys((pair[0] for pair in PAIRS), 1)
    if one:
        for name in ("texts", "spool"):
            (tmp_path / name).mkdir()
        pool = replace(
            pool, image_texts=count_texts(spark, matched(3), str(tmp_path / "texts"), str(tmp_path / "spool"))
        )
        images = [pair[1] for pair in PAIRS]
        texts = {pair[0]: images.count(pair[1]) for pair in PAIRS}
        there = [line for batch in pool.image_texts.read(0, 1) for line in batch.to_pylist()]
        assert {line["pair_id"]: line["texts"] for line in there} == texts
        assert len(there) == len(PAIRS)
    weight, want = {}, np.zeros(sum(SIZES.values()), np.int64)
    for line in curated.to_pylist():
        exact = WEIGHT_UNIT / Fraction(line["keep_probability"] / texts[line["pair_id"]])
        weight[line["pair_id"]] = int(exact + Fraction(1, 2))
        want[[START[line["entry_list"]] + entry for entry in line["entries"]]] += weight[line["pair_id"]]
    found = count_entries(spark, pool, SIZES)
    assert found.counts.tolist() == want.tolist()
    assert sum(found.pairs.values()) == sum(weight.values())

    again = found.weighted()
    limits = {name: t * 8 if name == "de" else t / 2 for name, t in limits_of(again, 40).items()}
    draw = Draw("sample", again.starts, probabilities(again, entry_limits(again, limits)))
    above = sum(
        stays and share > curated["keep_probability"][at].as_py()
        for at, (_, stays, share) in enumerate(decided(Pool(pool.pairs), draw))
    )
    assert count_drawn(spark, pool, draw, SIZES).lines[ABOVE_FIRST, None] == above > 0
    expected = expected_sizes(spark, pool, again, np.array([[limits[name] for name in again.sizes]]))
    shares = [(share, weight[line["pair_id"]]) for line, _, share in decided(Pool(pool.pairs), draw)]
    assert expected[0] == pytest.approx(sum(share * of / WEIGHT_UNIT for share, of in shares))


@pytest.mark.parametrize("mode", ["sample", "cap"])
def test_nothing_matched(spark, tmp_path, mode):
    pool = Pool(write_table(tmp_path / "empty", with_draws(0)[:0], 2))
    found = count_entries(spark, pool, SIZES)
    assert found.counts.sum() == 0
    assert limits_of(found, 5) == {"de": 1, "en": 5}
    lines, table = drawn(spark, pool, draw_of(spark, pool, found, 5, mode), tmp_path / "t")
    assert table.num_rows == 0
    assert not +lines
    assert expected_sizes(spark, pool, found, grid_thresholds(found, np.array([5.0]))).tolist() == [0]
    assert with_one_text(spark, pool, 0, tmp_path).chosen.schema().names == ["pair_id"]


def without_entries(rows):
    """The rows, every third without entries, and every sixth without a list."""
    return [
        (pair_id, image, None if i % 6 == 0 else name, [] if i % 3 == 0 else entries)
        for i, (pair_id, image, name, entries) in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def unmatched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unmatched") / "pool"
    return Pool(write_table(folder, with_draws(3, without_entries(PAIRS)), 6))


@pytest.mark.parametrize("mode", ["sample", "cap", "none"])
def test_pairs_without_entries_stay_where_nothing_is_balanced(spark, unmatched, tmp_path, mode):
    counts = count_entries(spark, unmatched, SIZES)
    with_some = [row for row in without_entries(PAIRS) if row[3]]
    assert counts.counts.tolist() == counted((row[2], row[3]) for row in with_some)
    _, table = drawn(spark, unmatched, draw_of(spark, unmatched, counts, 20, mode), tmp_path / "drawn")
    kept = kept_ids(table)
    left = {row[0] for row in without_entries(PAIRS) if not row[3]}
    assert left <= kept if mode == "none" else not left & kept
    assert kept - left if mode != "none" else len(kept) == len(PAIRS)
    if mode == "none":
        share = dict(zip(table["pair_id"].to_pylist(), table["keep_probability"].to_pylist(), strict=True))
        assert {share[pair_id] for pair_id in left} == {1.0}
        assert min(share.values()) < 0.5


@pytest.mark.parametrize("size", [1, 1000, 3999, 4000, 9000])
def test_a_random_choice_is_of_the_smallest_draws(spark, unmatched, tmp_path, size):
    pairs = count_pairs(spark, unmatched)
    assert pairs == len(PAIRS)
    counts = ListCounts(SIZES)
    cutoffs = find_cutoffs(spark, unmatched, Cutoffs.start(np.array([pairs]), np.array([size])), None)
    draw = Draw("random", counts.starts, np.full(85, 0.25), cutoffs, share=0.25)
    _, table = drawn(spark, unmatched, draw, tmp_path / "drawn")
    order = sorted((hashed(3, row[0]), row[0]) for row in PAIRS)
    assert kept_ids(table) == {pair_id for _, pair_id in order[:size]}
    assert set(table["keep_probability"].to_pylist()) == {0.25}
