"""Blocks: rows to their tasks and back, in memory."""

from itertools import groupby

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets.blocks import BLOCKS, block, blocks, by_part, packed, runs, unpacked

PLACES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30).map(sorted)


def table(count: int, start: int = 0) -> pa.Table:
    numbers = list(range(start, start + count))
    texts = [None if i % 3 == 0 else f"text {i}" for i in numbers]
    return pa.table({"n": pa.array(numbers, pa.int64()), "text": pa.array(texts, pa.string())})


@given(places=PLACES)
def test_runs(places):
    target, part = (np.array([place[i] for place in places], np.int64) for i in (0, 1))
    starts, ends = runs(target, part)
    want = [len(list(group)) for _, group in groupby(places)]
    assert (ends - starts).tolist() == want
    assert [places[start] for start in starts] == [place for place, _ in groupby(places)]
    starts, ends = runs(target, 5)
    assert (ends - starts).tolist() == [len(list(group)) for _, group in groupby(target.tolist())]


@settings(deadline=None)
@given(places=PLACES, cut=st.integers(0, 4), size=st.integers(1, 7))
def test_rows_come_back_by_target_and_part(places, cut, size):
    places = places[cut:]
    rows = table(len(places) + cut).slice(cut)
    target, part = (np.array([place[i] for place in places], np.int64) for i in (0, 1))
    sent = blocks(target, rows, part)
    assert sent.schema == BLOCKS
    for number in range(4):
        # As Spark hands them over: a task's blocks in the order of part, in batches of any size.
        mine = [row for row in range(sent.num_rows) if sent["target"][row].as_py() == number]
        batches = (sent.take(pa.array(mine[at : at + size], pa.int64())) for at in range(0, len(mine), size))
        found = {part: pa.concat_tables(tables) for part, tables in by_part(batches)}
        assert list(found) == sorted({part for to, part in places if to == number})
        for of_part, there in found.items():
            want = rows.filter(pa.array([place == (number, of_part) for place in places], pa.bool_()))
            assert there.equals(want)


def test_a_part_is_of_all_tasks():
    batches = [block(0, table(2), 1), blocks(np.zeros(3, int), table(3, 10), 1), block(0, table(1, 20), 2)]
    found = [(part, [there["n"].to_pylist() for there in tables]) for part, tables in by_part(iter(batches))]
    assert found == [(1, [[0, 1], [10, 11, 12]]), (2, [[20]])]


def test_no_rows():
    assert blocks(np.zeros(0, np.int64), table(0)).num_rows == 0
    assert list(by_part(iter([blocks(np.zeros(0, np.int64), table(0))]))) == []
    assert unpacked(pa.py_buffer(packed(table(0)))).equals(table(0))
    found = [[there.num_rows for there in tables] for _, tables in by_part(iter([block(0, table(0))]))]
    assert found == [[0]]


def test_what_is_unpacked_is_not_copied():
    content = pa.py_buffer(packed(pa.record_batch({"n": np.arange(1 << 20)})))
    before = pa.total_allocated_bytes()
    found = unpacked(content)
    assert found.num_rows == 1 << 20
    assert pa.total_allocated_bytes() - before < 1 << 16
