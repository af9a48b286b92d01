"""Balancing by tasks: draws of independent code, nesting, realised counts, one text an image, the cap, weights."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.balance.counts import WEIGHT_UNIT
from pipeline.balance.draw import Draw
from pipeline.balance.pool import Pool
from pipeline.balance.size import grid_thresholds
from pipeline.balance.spark import (
    ABOVE_FIRST,
    EXPECTED,
    SIZE_UNIT,
    count_entries,
    expected_sizes,
)
from pipeline.balance.texts.spark import choose_texts, count_texts
from pipeline.balance.thresholds import entry_limits, probabilities
from pipeline.buckets.files import Files
from tests.balance.drawn import (
    PAIRS,
    SIZES,
    START,
    counted,
    decided,
    draw_of,
    drawn,
    hashed,
    kept_ids,
    limits_of,
    with_draws,
)
from tests.buckets.written import write_table


def test_entries_are_counted(counts):
    assert counts.counts.tolist() == counted((name, entries) for _, _, name, entries in PAIRS)
    assert counts.pairs == {name: sum(pair[2] == name for pair in PAIRS) for name in ("de", "en")}


def test_a_smaller_t_gives_a_subset(local, matched, counts, tmp_path):
    kept = {}
    for t in (10, 20):
        draw = draw_of(local, matched(3), counts, t)
        lines, table = drawn(local, matched(3), draw, tmp_path / str(t))
        kept[t] = kept_ids(table)
        assert kept[t] == {line["pair_id"] for line, stays, _ in decided(matched(3), draw) if stays}
        assert lines["not_drawn", None] == len(PAIRS) - len(kept[t])
    assert kept[10] < kept[20]


def test_keep_probabilities_by_the_formula(local, matched, counts, tmp_path):
    """1 - prod(1 - min(1, t / count)), in exact fractions; a pair is kept where its draw is below it."""
    limits = limits_of(counts, 30)
    _, table = drawn(local, matched(3), draw_of(local, matched(3), counts, 30), tmp_path / "t")
    share = {}
    for pair_id, _, name, entries in PAIRS:
        gone = Fraction(1)
        for entry in entries:
            gone *= 1 - min(Fraction(1), Fraction(limits[name]) / int(counts.of_list(name)[entry]))
        share[pair_id] = float(1 - gone)
    for line in table.to_pylist():
        assert line["keep_probability"] == pytest.approx(share[line["pair_id"]], rel=1e-12)
    assert kept_ids(table) == {i for i, p in share.items() if (hashed(3, i) >> 11) * 2.0**-53 < p}


def test_kept_counts_over_seeds_are_as_expected(local, matched, counts):
    """|kept - sum of keep_probability| <= 5 sqrt(V), summed over 20 seeds, for entries of variance of at least 25."""
    kept = np.zeros(sum(SIZES.values()))
    expected, variance = np.zeros_like(kept), np.zeros_like(kept)
    draw = draw_of(local, matched(3), counts, 30)
    for seed in range(20):
        for line, stays, share in decided(matched(seed), draw):
            at = [START[line["entry_list"]] + e for e in line["entries"]]
            kept[at] += stays
            expected[at] += share
            variance[at] += share * (1 - share)
    tested = variance >= 25
    assert tested.sum() > 20
    assert (np.abs(kept - expected)[tested] <= 5 * np.sqrt(variance[tested])).all()


def test_expected_and_realised_size(local, matched, counts, tmp_path):
    pool = matched(11)
    draw = draw_of(local, pool, counts, 25)
    lines, table = drawn(local, pool, draw, tmp_path / "t")
    expected = expected_sizes(local, pool, counts, grid_thresholds(counts, np.array([25.0, 1e9])))
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


def with_one_text(local, pool, seed, tmp_path):
    for name in ("chosen", "spool"):
        (tmp_path / name).mkdir()
    return replace(pool, chosen=choose_texts(local, pool, seed, str(tmp_path / "chosen"), str(tmp_path / "spool")))


def test_one_text_an_image(tasks, matched, counts, tmp_path):
    pool = with_one_text(tasks, matched(4), 4, tmp_path)
    ids = [i for bucket in range(6) for batch in pool.chosen.read(bucket, 6) for i in batch["pair_id"].to_pylist()]
    assert ids == sorted(first_texts(4))
    draw = draw_of(tasks, matched(4), counts, 20)
    lines, table = drawn(tasks, pool, draw, tmp_path / "one")
    everything = {line["pair_id"] for line, stays, _ in decided(matched(4), draw) if stays}
    assert kept_ids(table) == everything & first_texts(4)
    assert lines["other_text_of_image", None] == len(PAIRS) - len(first_texts(4))
    assert lines["not_drawn", None] == len(first_texts(4) - everything)


@pytest.mark.parametrize("one", [False, True])
def test_cap_keeps_the_smallest_draws_of_each_entry(tasks, matched, counts, tmp_path, one):
    pool = with_one_text(tasks, matched(9), 9, tmp_path) if one else matched(9)
    limits = limits_of(counts, 15)
    lines, table = drawn(tasks, pool, draw_of(tasks, pool, counts, 15, "cap"), tmp_path / "t")
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


def test_none_keeps_all_with_their_probability(local, matched, counts, tmp_path):
    _, table = drawn(local, matched(9), draw_of(local, matched(9), counts, 15, "none"), tmp_path / "none")
    assert table.num_rows == len(PAIRS)
    share = dict(zip(table["pair_id"].to_pylist(), table["keep_probability"].to_pylist(), strict=True))
    _, some = drawn(local, matched(9), draw_of(local, matched(9), counts, 15), tmp_path / "sample")
    assert 0 < some.num_rows < len(PAIRS)
    for pair_id, keep in zip(some["pair_id"].to_pylist(), some["keep_probability"].to_pylist(), strict=True):
        assert share[pair_id] == keep


@pytest.mark.parametrize("mode", ["sample", "cap"])
def test_the_bytes_do_not_depend_on_the_buckets_of_the_pool(local, matched, counts, tmp_path, mode):
    found = set()
    for buckets in (1, 5):
        pool = Pool(write_table(tmp_path / f"{buckets}", with_draws(3), buckets))
        drawn(local, pool, draw_of(local, pool, counts, 20, mode), tmp_path / f"out-{buckets}")
        found.add(tuple(file.read_bytes() for file in sorted((tmp_path / f"out-{buckets}").iterdir())))
    assert len(found) == 1


def write_clusters(folder: Path, buckets: int) -> tuple[Files, set[int]]:
    """Every seventh pair is in a cluster, and every fourteenth was removed."""
    some = [pair[0] for pair in PAIRS[::7]]
    kept = [k % 2 == 0 for k in range(len(some))]
    rows = pa.table({"pair_id": some, "cluster_id": some, "kept": kept})
    return write_table(folder, rows, buckets), {i for i, stays in zip(some, kept, strict=True) if not stays}


@pytest.mark.parametrize("buckets", [1, 6, 7])
def test_removed_duplicates_are_not_drawn(local, matched, tmp_path, buckets):
    clusters, removed = write_clusters(tmp_path / "clusters", buckets)
    pool = replace(matched(3), clusters=clusters)
    for read in (1, 4, 6):
        ids = [
            i for bucket in range(read) for batch in pool.read(bucket, read, []) for i in batch["pair_id"].to_pylist()
        ]
        assert ids == sorted({pair[0] for pair in PAIRS} - removed)
    left = [pair for pair in PAIRS if pair[0] not in removed]
    assert count_entries(local, pool, SIZES).counts.tolist() == counted((pair[2], pair[3]) for pair in left)
    pool = with_one_text(local, pool, 3, tmp_path)
    ids = [i for batch in pool.chosen.read(0, 1) for i in batch["pair_id"].to_pylist()]
    assert set(ids) == first_texts(3, left)


@pytest.mark.parametrize("one", [False, True])
def test_survivors_are_weighted_by_what_they_stand_for(tasks, matched, counts, tmp_path, one):
    """1/k1 in whole parts, times the texts of its image where one of them was chosen; k2 above k1 is counted."""
    first = draw_of(tasks, matched(3), counts, 40)
    _, curated = drawn(tasks, matched(3), first, tmp_path / "first")
    pool = Pool(Files.of(str(tmp_path / "first")), weighted=True)
    texts = dict.fromkeys((pair[0] for pair in PAIRS), 1)
    if one:
        for name in ("texts", "spool"):
            (tmp_path / name).mkdir()
        pool = replace(
            pool, image_texts=count_texts(tasks, matched(3), str(tmp_path / "texts"), str(tmp_path / "spool"))
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
    found = count_entries(tasks, pool, SIZES)
    assert found.counts.tolist() == want.tolist()
    assert sum(found.pairs.values()) == sum(weight.values())

    again = found.weighted()
    limits = {name: t * 8 if name == "de" else t / 2 for name, t in limits_of(again, 40).items()}
    draw = Draw("sample", again.starts, probabilities(again, entry_limits(again, limits)))
    above = sum(
        stays and share > curated["keep_probability"][at].as_py()
        for at, (_, stays, share) in enumerate(decided(Pool(pool.pairs), draw))
    )
    assert drawn(tasks, pool, draw, tmp_path / "again")[0][ABOVE_FIRST, None] == above > 0
    expected = expected_sizes(tasks, pool, again, np.array([[limits[name] for name in again.sizes]]))
    shares = [(share, weight[line["pair_id"]]) for line, _, share in decided(Pool(pool.pairs), draw)]
    assert expected[0] == pytest.approx(sum(share * of / WEIGHT_UNIT for share, of in shares))


@pytest.mark.parametrize("mode", ["sample", "cap"])
def test_nothing_matched(local, tmp_path, mode):
    pool = Pool(write_table(tmp_path / "empty", with_draws(0)[:0], 2))
    found = count_entries(local, pool, SIZES)
    assert found.counts.sum() == 0
    assert limits_of(found, 5) == {"de": 1, "en": 5}
    lines, table = drawn(local, pool, draw_of(local, pool, found, 5, mode), tmp_path / "t")
    assert table.num_rows == 0
    assert not +lines
    assert expected_sizes(local, pool, found, grid_thresholds(found, np.array([5.0]))).tolist() == [0]
    assert with_one_text(local, pool, 0, tmp_path).chosen.schema().names == ["pair_id"]
