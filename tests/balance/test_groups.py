"""Groups with a t or a share of their own: against plain Python, pair by pair; realised shares, nesting, partitions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.balance.counts import ListCounts
from pipeline.balance.draw import Draw
from pipeline.balance.groups import FACTORS, LAST, Own, factors, named, of_entries, own_of, places
from pipeline.balance.pool import Pool
from pipeline.balance.size import keep_sums
from pipeline.balance.spark import count_entries, expected_sizes
from pipeline.balance.stage import cap_groups
from pipeline.balance.thresholds import probabilities
from pipeline.errors import PipelineError, UsageError
from pipeline.recipe import Balance, Group
from tests.balance.drawn import PAIRS, SIZES, START, decided, drawn, kept_ids, with_draws
from tests.buckets.written import write_table


def test_the_place_of_a_pair_is_the_first_factor_that_keeps_it():
    rng = np.random.default_rng(0)
    share = np.concatenate([rng.random(300), rng.random(100) ** 20, np.ones(100)])
    factor = FACTORS[rng.integers(1, LAST + 1, len(share))]
    near = share * factor  # draws that are as a factor's product is, or the next number beside it
    draw = np.where(rng.random(len(share)) < 0.3, np.nextafter(near, rng.integers(0, 2, len(share))), near)
    draw = np.where(rng.random(len(share)) < 0.3, share * rng.random(len(share)), draw)
    draw[:3] = 0, np.nextafter(share[1], 0), share[2] * FACTORS[1] / 2
    share, draw = share[draw < share], draw[draw < share]
    first = [int(np.argmax(d < s * FACTORS)) for d, s in zip(draw, share, strict=True)]
    assert places(draw, share).tolist() == first


def brute(counts: np.ndarray, at, groups: int):
    """Pairs of each group, and all, that are kept: one combination after the other."""
    every, of_group = 0, [0] * groups
    for combination, line in enumerate(counts):
        inside = [group for group in range(groups) if combination & 1 << group]
        left = line[min([LAST, *(at[group] for group in inside)])]
        every += left
        for group in inside:
            of_group[group] += left
    return of_group, every


@pytest.mark.parametrize("seed", range(12))
def test_shares_meet_their_caps_and_no_group_could_have_more(seed):
    rng = np.random.default_rng(seed)
    groups, caps = 3, rng.choice([0.0, 0.01, 0.05, 0.2, 0.5, 1.0], 3).tolist()
    cells = np.zeros((1 << groups, LAST + 1), np.int64)
    pairs = rng.integers(0, [4000, *[1500] * 7])
    for line, count in zip(cells, pairs, strict=True):
        np.add.at(line, places(rng.random(count), np.ones(count)), 1)
    kept = np.cumsum(cells, axis=1)
    at = factors(kept, caps)
    of_group, every = brute(kept, at, groups)
    assert named(kept, at) == (of_group, every)
    assert all(count == 0 or count / every <= cap for count, cap in zip(of_group, caps, strict=True))
    for group in range(groups):
        if at[group] < LAST:
            more = at.copy()
            while more[group] < LAST and brute(kept, more, groups) == (of_group, every):
                more[group] += 1
            raised, all_then = brute(kept, more, groups)
            assert raised[group] == of_group[group] or raised[group] / all_then > caps[group]


def test_shares_that_no_set_meets_leave_nothing():
    """All pairs are of one of two groups, which together may be half of the set."""
    kept = np.zeros((4, LAST + 1))
    kept[1], kept[2] = 500 * FACTORS, 800 * FACTORS
    assert brute(kept, factors(kept, [0.3, 0.2]), 2)[1] == 0
    assert brute(kept, factors(kept, [0.5, 0.5]), 2) == ([pytest.approx(500, rel=0.01)] * 2, pytest.approx(1000, 0.01))


CAPPED = (("en", (0, 3, 59)), ("de", (0,)), ("en", (1, 3)))  # with entries in common
CAPS = (0.1, 0.02, 0.15)


def own() -> Own:
    bits = np.zeros(sum(SIZES.values()), np.int64)
    for group, (name, entries) in enumerate(CAPPED):
        bits[[START[name] + entry for entry in entries]] |= 1 << group
    capped = [Group(terms="x", group=str(group), share=cap) for group, cap in enumerate(CAPS)]
    lines = [group.model_dump(exclude_none=True) for group in capped]
    return Own(np.full(len(bits), np.nan), bits, capped, {"groups": lines})


def in_group(name, entries, group) -> bool:
    return name == CAPPED[group][0] and bool(set(entries) & set(CAPPED[group][1]))


def test_a_draw_with_caps(local, tmp_path):
    """The same from pools in other buckets; part of the draw without; shares of what is written are those noted."""
    found = {}
    for buckets in (6, 2):
        pool = Pool(write_table(tmp_path / f"pool{buckets}", with_draws(3), buckets))
        counts = count_entries(local, pool, SIZES)
        plain = Draw("sample", counts.starts, probabilities(counts, np.full(len(counts.counts), 90.0)))
        capped = own()
        draw = cap_groups(SimpleNamespace(session=local), pool, plain, capped)
        found[buckets] = [line for line, stays, _ in decided(pool, draw) if stays], capped.notes["groups"]
    assert found[6] == found[2]
    table, notes = drawn(local, pool, draw, tmp_path / "capped")[1], capped.notes["groups"]
    assert kept_ids(table) == {line["pair_id"] for line in found[6][0]}
    before = {line["pair_id"] for line, stays, _ in decided(pool, plain) if stays}
    assert kept_ids(table) < before
    rows = table.select(["entry_list", "entries", "draw", "keep_probability"]).to_pylist()
    for group, line in enumerate(notes):
        count = sum(in_group(row["entry_list"], row["entries"], group) for row in rows)
        assert line["pairs"] == count
        assert 0.9 * CAPS[group] < count / len(rows) == line["of_the_set"] <= CAPS[group]
    for row in rows:
        of = [notes[g]["factor"] for g in range(3) if in_group(row["entry_list"], row["entries"], g)]
        gone = 1.0
        for entry in row["entries"]:
            gone *= 1.0 - draw.probability[START[row["entry_list"]] + entry]
        assert row["keep_probability"] == (1.0 - gone) * min([1.0, *of])
        assert row["draw"] < row["keep_probability"]
    others = {pair[0] for pair in PAIRS if not any(in_group(*pair[2:], group) for group in range(3))}
    assert before & others <= kept_ids(table)  # what names no group stays


def test_caps_that_nothing_meets_end_the_run(local, tmp_path):
    pool = Pool(write_table(tmp_path / "pool", with_draws(3), 2))
    counts = count_entries(local, pool, SIZES)
    every = replace(own(), bits=np.ones(len(counts.counts), np.int64))
    draw = Draw("sample", counts.starts, probabilities(counts, np.full(len(counts.counts), 90.0)))
    with pytest.raises(PipelineError, match=r"groups: no set meets the shares of 0 \(0.1\), 1 .* none would be left"):
        cap_groups(SimpleNamespace(session=local), pool, draw, every)


def test_what_other_thresholds_would_give(local, tmp_path):
    """Sums of keep probabilities, with a t of single entries and factors by which shares are expected to fit."""
    pool = Pool(write_table(tmp_path / "pool", with_draws(3), 5))
    counts = count_entries(local, pool, SIZES)
    capped = own()
    capped.t[START["en"] + 7] = 33.0
    ts = np.array([[5.0, 5.0], [90.0, 90.0]])
    sizes = expected_sizes(local, pool, counts, ts, capped)
    for (t, _), size in zip(ts, sizes, strict=True):
        flat = np.minimum(1.0, capped.limits(np.full(len(counts.counts), t)) / np.maximum(1, counts.counts))
        share = [1 - np.prod([1 - flat[START[name] + entry] for entry in entries]) for *_, name, entries in PAIRS]
        sums = np.zeros(1 << len(CAPS))
        for keep, pair in zip(share, PAIRS, strict=True):
            sums[sum(in_group(*pair[2:], group) << group for group in range(3))] += keep
        kept = sums[:, None] * FACTORS
        assert size == pytest.approx(brute(kept, factors(kept, list(CAPS)), 3)[1], rel=1e-6)
        assert size < sums.sum()
    assert keep_sums(counts.counts, ts, np.zeros(0, int), np.zeros(1, int), np.zeros(0, int), own=capped).shape == (
        2,
        8,
    )


FILE = """
source: made for this test
groups:
  cats: [Cat, kitten, "tom-cat"]
  猫: [猫, 子猫]
"""
LISTS = {"en": ["dog", "cat", "Kitten", "cat food"], "ja": ["犬", "猫"]}


def balance(folder, *groups, **more) -> Balance:
    (folder / "mine.yaml").write_text(FILE, encoding="utf-8")
    file = str(folder / "mine.yaml")
    return Balance(t=5, groups=[{"terms": file, **group} for group in groups], **more)


def test_entries_of_groups(tmp_path):
    """Entries are read as words, in any case; of two that give an entry a t the later holds."""
    lists = {name: pa.array(entries) for name, entries in LISTS.items()}
    (tmp_path / "domain.txt").write_text("cat\n猫\n")
    given = balance(
        tmp_path,
        {"group": "cats", "t": 100},
        {"group": "猫", "share": 0.25},
        domain={"entries": str(tmp_path / "domain.txt"), "t": 7},
    )
    found = own_of(given, lists, "balance")
    assert np.array_equal(found.t, [np.nan, 100, 100, np.nan, np.nan, 7], equal_nan=True)
    assert found.bits.tolist() == [0, 0, 0, 0, 0, 1]
    assert found.limits(np.full(6, 5.0)).tolist() == [5, 100, 100, 5, 5, 7]
    assert [(line["entries"], line["terms_without_entry"]) for line in found.notes["groups"]] == [(2, 1), (1, 1)]
    assert of_entries(found, np.array([LAST - STEP])).tolist() == [1.0] * 5 + [FACTORS[LAST - STEP]]
    flat = ListCounts({name: len(entries) for name, entries in LISTS.items()})
    assert [flat.entry_at(index) for index in (2, 5)] == [("en", 2), ("ja", 1)]


STEP = 17


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"group": "dogs", "t": 3}, "balance.groups.0.group: .*mine.yaml has no group 'dogs'; allowed: cats, 猫"),
        ({"terms": "nope", "group": "cats", "t": 3}, "balance.groups.0.terms: nope: no such file; shipped groups: age"),
    ],
)
def test_groups_that_are_not_there(tmp_path, group, said):
    with pytest.raises(UsageError, match=said):
        own_of(balance(tmp_path, group), {"en": pa.array(["cat"])}, "balance")
