"""Which of equal rows stays, against plain Python, over columns of every type that is passed through."""

import datetime as dt
import math
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.distinct import distinct, rank

UTC = dt.timezone.utc  # noqa: UP017
FLOATS = st.sampled_from([float("nan"), -float("nan"), -0.0, 0.0, 1.5, -1.5, float("inf"), float("-inf"), 5e-324])
SINGLES = st.sampled_from([float("nan"), -0.0, 0.0, 1.5, -1.5, float("inf"), float("-inf")])
TIMES = st.sampled_from(
    [dt.datetime(1969, 12, 31, 23), dt.datetime(2024, 2, 29, 12, 0, 0, 123456), dt.datetime(1, 1, 1)]
)
TEXTS = st.sampled_from(["", "a", "A", "ab", "é", "猫", "\uffff", "😀", "\0"])
DECIMALS = st.integers(-300, 300).map(lambda i: Decimal(i).scaleb(-2))
KINDS = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-128, 127),
    pa.int16(): st.integers(-5, 5),
    pa.int32(): st.integers(-5, 5),
    pa.int64(): st.sampled_from([-(2**63), 2**63 - 1, 2**53, 2**53 + 1, 0, -1]),
    pa.float32(): SINGLES,
    pa.float64(): FLOATS,
    pa.decimal128(5, 2): DECIMALS,
    pa.decimal128(38, 0): st.sampled_from([Decimal(10**37), Decimal(10**37 + 1), Decimal(-(10**37)), Decimal(0)]),
    pa.string(): TEXTS,
    pa.binary(): st.sampled_from([b"", b"\0", b"\x7f", b"\x80", b"\xff", b"\xff\0"]),
    pa.date32(): st.sampled_from([dt.date(1969, 1, 1), dt.date(2024, 2, 29), dt.date(1, 1, 1)]),
    pa.timestamp("us"): TIMES,
    pa.timestamp("us", "UTC"): TIMES.map(lambda time: time.replace(tzinfo=UTC)),
    pa.list_(pa.int64()): st.lists(st.none() | st.integers(-2, 2), max_size=3),
    pa.list_(pa.float64()): st.lists(st.none() | FLOATS, max_size=2),
    pa.list_(pa.string()): st.lists(st.none() | TEXTS, max_size=2),
    pa.list_(pa.binary()): st.lists(st.sampled_from([b"", b"\xff"]), max_size=2),
    pa.list_(pa.timestamp("us")): st.lists(TIMES, max_size=2),
    pa.list_(pa.decimal128(5, 2)): st.lists(st.none() | DECIMALS, max_size=2),
    pa.list_(pa.bool_()): st.lists(st.booleans(), max_size=2),
    pa.list_(pa.list_(pa.float32())): st.lists(st.none() | st.lists(SINGLES, max_size=2), max_size=2),
}


def key(value):
    """Nulls first, NaN above all numbers, -0.0 after 0.0, texts by their bytes, a list by its elements."""
    if value is None:
        return (0,)
    if isinstance(value, list):
        return (1, [key(element) for element in value])
    if isinstance(value, float):
        nan = math.isnan(value)
        return (1, nan, 0.0 if nan else value, str(value) == "-0.0", nan and math.copysign(1, value) < 0)
    return (1, value.encode() if isinstance(value, str) else value)


def exact(value):
    """A value by its bits: NaN is equal to itself, and the zeros are two."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return [exact(element) for element in value] if isinstance(value, list) else value


def by_python(rows: list[dict], order: list[str]) -> tuple[list[dict], int]:
    groups: dict[int, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["pair_id"], []).append(row)
    found, went = [], 0
    for pair_id in sorted(groups):
        group = groups[pair_id]
        others = len({(row["url"], row["text"]) for row in group}) - 1
        first = min(group, key=lambda row: [key(row[name]) for name in order])
        found.append(first | {"copies": len(group) - others})
        went += others
    return found, went


def check(rows: list[dict], schema: pa.Schema, chunk: int = 3) -> None:
    order = [name for name in schema.names if name != "pair_id"]
    table = pa.Table.from_pylist(rows, schema)
    table = pa.concat_tables([table.slice(at, chunk) for at in range(0, len(rows), chunk)] or [table])
    found, went = distinct(table, order)
    want, want_went = by_python(rows, order)
    assert [exact(list(row.values())) for row in found.to_pylist()] == [
        exact([row[n] for n in found.column_names]) for row in want
    ]
    assert went == want_went
    assert found.schema == schema.append(pa.field("copies", pa.int64()))


BASE = [("pair_id", pa.int64()), ("url", pa.string()), ("text", pa.string())]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_smallest_row_by_a_column_of_any_type(kind, data):
    row = st.fixed_dictionaries(
        {"pair_id": st.sampled_from([-5, 7]), "url": st.just("u"), "text": st.just("t"),
         "x": st.none() | KINDS[kind], "y": st.none() | st.integers(0, 2)}
    )  # fmt: skip
    check(data.draw(st.lists(row, max_size=8)), pa.schema([*BASE, ("x", kind), ("y", pa.int32())]))


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "pair_id": st.sampled_from([-(2**63), -1, 3, 2**63 - 1]),
                "url": TEXTS,
                "text": TEXTS,
                "width": st.none() | st.integers(0, 2),
            }
        ),
        max_size=14,
    ),
    chunk=st.integers(1, 5),
)
def test_contents_of_an_equal_id_are_counted(rows, chunk):
    check(rows, pa.schema([*BASE, ("width", pa.int32())]), chunk)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_ranks(kind, data):
    values = data.draw(st.lists(st.none() | KINDS[kind], max_size=12))
    column = pa.chunked_array([pa.array(values[:4], kind), pa.array(values[4:], kind)], kind)
    ranks = rank(column).tolist()
    keys = [key(value) for value in values]
    for i, one in enumerate(keys):
        for j, other in enumerate(keys):
            assert (ranks[i] < ranks[j]) == (one < other)


def test_the_order_of_rows_does_not_matter():
    rows = [
        {"pair_id": 1, "url": "u", "text": "t", "x": x, "y": y}
        for x in (0.0, -0.0, float("nan"), None)
        for y in ([1.0, None], [-0.0], [0.0], None)
    ]
    schema = pa.schema([*BASE, ("x", pa.float64()), ("y", pa.list_(pa.float64()))])
    for drop in range(len(rows)):
        found = set()
        for seed in range(6):
            mixed = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows)) if i > drop]
            if mixed:
                kept, _ = distinct(pa.Table.from_pylist(mixed, schema), ["url", "text", "x", "y"])
                found.add(repr(kept.to_pylist()))
        assert len(found) <= 1


def test_the_smallest_of_equal_rows_survives():
    schema = pa.schema([*BASE, ("width", pa.int32()), ("source_uid", pa.string())])
    rows = [
        {"pair_id": 9, "url": "http://x/1", "text": "t", "width": 9, "source_uid": "b"},
        {"pair_id": 9, "url": "http://x/1", "text": "t", "width": 5, "source_uid": "z"},
        {"pair_id": 9, "url": "http://x/1", "text": "t", "width": 5, "source_uid": "c"},
        {"pair_id": 2, "url": "http://x/2", "text": "t", "width": None, "source_uid": None},
    ]
    found, went = distinct(pa.Table.from_pylist(rows, schema), ["url", "text", "width", "source_uid"])
    assert found.to_pylist() == [rows[3] | {"copies": 1}, rows[2] | {"copies": 3}]
    assert went == 0


def test_an_equal_id_of_other_content_is_counted():
    rows = [{"pair_id": 5, "url": f"http://x/{name}", "text": "t"} for name in "baac"]
    found, went = distinct(pa.Table.from_pylist(rows, pa.schema(BASE)), ["url", "text"])
    assert found.to_pylist() == [{"pair_id": 5, "url": "http://x/a", "text": "t", "copies": 2}]
    assert went == 2


def test_columns_that_no_row_has_and_no_rows():
    """A column of nothing but nulls is not sent; the order names it all the same."""
    rows = pa.table({"pair_id": [1, 1], "url": ["b", "a"], "text": ["t", "t"]})
    assert distinct(rows, ["url", "text", "width"])[0]["url"].to_pylist() == ["a"]
    assert distinct(rows[:0], ["url", "text", "width"])[0].num_rows == 0
