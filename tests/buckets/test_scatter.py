"""Rows on their way into buckets: each arrives once, in the order they came, whatever was held together."""

import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets import scatter
from pipeline.buckets.blocks import by_part, rows_of
from pipeline.buckets.keys import first_id
from pipeline.buckets.scatter import Scatter, Spool, by_place, in_schema

SCHEMA = pa.schema({"pair_id": pa.int64(), "text": pa.string(), "x": pa.list_(pa.int32())})
SIGNED = st.integers(-(2**63), 2**63 - 1)


def batch(ids, texts=None):
    texts = [f"t{i}" for i in ids] if texts is None else texts
    return pa.record_batch(
        [pa.array(ids, pa.int64()), pa.array(texts, pa.string()), pa.nulls(len(ids), SCHEMA[2].type)], schema=SCHEMA
    )


def sent(batches, file, buckets, parts=1, **options):
    spool = Spool(str(file))
    there = Scatter(spool, buckets, parts, **options)
    places = [place for rows in batches for place in there.add(rows)] + list(there.rest())
    spool.close()
    return places


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(st.lists(SIGNED, max_size=8), max_size=6),
    buckets=st.integers(1, 9),
    parts=st.integers(1, 4),
    held=st.sampled_from([1, 100, 1 << 20]),
)
def test_every_row_arrives_once_in_its_bucket(tmp_path_factory, ids, buckets, parts, held):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "LEAST_HELD", held)
        patch.setattr(scatter, "BLOCK_BYTES", 1)
        places = sent(map(batch, ids), tmp_path_factory.mktemp("spool") / "rows", buckets, parts)
    arrived = []
    for place in places:
        for row in range(place.num_rows):
            rows = rows_of(place, row)
            there = place["target"][row].as_py() * parts + place["part"][row].as_py()
            of_block = rows["pair_id"].to_pylist()
            assert first_id(there, buckets * parts) <= min(of_block)
            assert max(of_block) < first_id(there + 1, buckets * parts)
            arrived += zip(of_block, rows["text"].to_pylist(), strict=True)
    assert sorted(arrived) == sorted((i, f"t{i}") for some in ids for i in some)


@settings(max_examples=60, deadline=None)
@given(place=st.lists(st.integers(0, 7), max_size=30))
def test_rows_of_a_place_keep_their_order(place):
    order, ends = by_place(np.array(place, np.int64))
    assert order.tolist() == sorted(range(len(place)), key=place.__getitem__)
    assert ends.tolist() == [sum(there <= one for there in place) for one in range(max(place, default=-1) + 1)]


def test_what_is_held_is_sent_when_it_is_much(tmp_path, monkeypatch):
    monkeypatch.setattr(scatter, "LEAST_HELD", 2000)
    monkeypatch.setattr(scatter, "MOST_HELD", 10_000)
    monkeypatch.setattr(scatter, "BLOCK_BYTES", 1000)
    rows = batch(list(range(20)))
    assert (Scatter(Spool(""), 1).most, Scatter(Spool(""), 3).most, Scatter(Spool(""), 99).most) == (2000, 3000, 10_000)
    there = Scatter(Spool(str(tmp_path / "rows")), 1)
    held = 0
    for _ in range(20):
        held += rows.nbytes
        places = list(there.add(rows))
        assert bool(places) == (held >= 2000)
        if places:
            assert rows_of(places[0], 0).num_rows == 20 * (held // rows.nbytes)
            held = 0


def test_columns_of_nothing_but_nulls_are_left_out_and_come_back(tmp_path):
    [place] = sent([batch([3, 1], [None, None]), batch([2], [None])], tmp_path / "rows", 1)
    rows = rows_of(place, 0)
    assert rows.column_names == ["pair_id"]
    back = in_schema(rows, SCHEMA)
    assert back.schema == SCHEMA
    assert back.to_pylist() == [{"pair_id": i, "text": None, "x": None} for i in (3, 1, 2)]


def test_of_nothing_there_is_no_file(tmp_path):
    assert sent([], tmp_path / "rows", 4) == []
    assert sent([batch([])], tmp_path / "rows", 4) == []
    assert not os.listdir(tmp_path)


def test_two_that_share_a_file(tmp_path):
    """By another column, each as a part of its own."""
    spool = Spool(str(tmp_path / "rows"))
    pair = [Scatter(spool, 2, by="hash", part=part) for part in (5, 6)]
    places = []
    for number, there in enumerate(pair):
        hashes = np.array([-1, 1, -5, 7], np.int64)
        places += there.add(pa.record_batch({"hash": hashes, "of": np.full(4, number)}))
    for there in reversed(pair):
        places += there.rest()
    spool.close()
    found = {}
    for place in places:
        for row in range(place.num_rows):
            found[place["target"][row].as_py(), place["part"][row].as_py()] = rows_of(place, row).to_pydict()
    assert found == {
        (target, 5 + number): {"hash": hashes, "of": [number] * 2}
        for number in (0, 1)
        for target, hashes in ((0, [-1, -5]), (1, [1, 7]))
    }


def test_places_are_read_as_blocks_are(tmp_path):
    [place] = sent([batch(list(range(-50, 50)))], tmp_path / "rows", 2, 3)
    assert place["block"].null_count == place.num_rows
    for target in (0, 1):
        mine = place.filter(pa.array([to == target for to in place["target"].to_pylist()]))
        parts = [(part, sum(rows.num_rows for rows in tables)) for part, tables in by_part(iter([mine]))]
        assert sum(rows for _, rows in parts) == 50
        assert [part for part, _ in parts] == sorted({part for part, _ in parts})
