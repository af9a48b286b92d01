"""Every Arrow type as a pass-through column, through planning and reading; types that differ between files."""

import datetime as dt
import itertools
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.ingest.columns import promoted, stored
from pipeline.ingest.convert import as_id, as_size, as_text, fit
from pipeline.ingest.plan import plan
from pipeline.ingest.read import read_split
from pipeline.recipe import Input

UTC = dt.timezone.utc  # noqa: UP017
US, ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")
ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 123456)

# (type, values, type in the tables, values there); of None values are as given
KINDS = [
    (pa.null(), [None, None], pa.string(), None),
    (pa.bool_(), [True, False, None], pa.bool_(), None),
    *[(kind, [1, -1, None], kind, None) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())],
    *[(kind, [1, 255, None], pa.int64(), None) for kind in (pa.uint8(), pa.uint16(), pa.uint32())],
    (pa.uint64(), [2**64 - 1, 5, None], pa.decimal128(20, 0), [Decimal(2**64 - 1), Decimal(5), None]),
    (pa.float16(), [np.float16(0.5), None], pa.float32(), [0.5, None]),
    *[(kind, [0.5, float("inf"), None], kind, None) for kind in (pa.float32(), pa.float64())],
    *[(kind, [Decimal("1.50"), None], pa.decimal128(5, 2), None)
      for kind in (pa.decimal32(5, 2), pa.decimal64(5, 2), pa.decimal128(5, 2), pa.decimal256(5, 2))],
    (pa.decimal256(50, 2), [Decimal("1.50"), None], pa.string(), ["1.50", None]),
    *[(kind, ["é", "", None], pa.string(), None) for kind in (pa.string(), pa.large_string(), pa.string_view())],
    *[(kind, [b"\xff", None], pa.binary(), None) for kind in (pa.binary(), pa.large_binary(), pa.binary_view())],
    (pa.binary(2), [b"\xff\0", None], pa.binary(), None),
    (pa.date32(), [dt.date(2024, 2, 29), None], pa.date32(), None),
    (pa.date64(), [dt.date(2024, 2, 29), None], pa.date32(), None),
    (pa.time32("ms"), [dt.time(1, 2, 3), None], pa.string(), ["01:02:03.000", None]),
    (pa.time64("us"), [dt.time(1, 2, 3, 4), None], pa.string(), ["01:02:03.000004", None]),
    *[(pa.timestamp(unit), [NOON.replace(microsecond=0), None], US, None) for unit in ("s", "ms", "us", "ns")],
    (pa.timestamp("ns", "Asia/Tokyo"), [NOON.replace(tzinfo=UTC), None], ZONED, None),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b", None, "a"], pa.string(), None),
    (pa.dictionary(pa.int8(), pa.float64()), [0.5, None, 0.5], pa.float64(), None),
    (pa.run_end_encoded(pa.int32(), pa.string()), ["a", "a", None], pa.string(), None),
    (pa.uuid(), [ID, None], pa.string(), [str(ID), None]),
    (pa.json_(), ['{"a": 1}', None], pa.string(), None),
    (pa.bool8(), [True, False, None], pa.bool_(), None),
    (pa.fixed_shape_tensor(pa.int8(), [2]), [[1, 2], [3, 4]], pa.list_(pa.int8()), None),
    (pa.opaque(pa.int8(), "a", "b"), [1, None], pa.int8(), None),
    *[(make(pa.uint64()), [[1, 2], None, [2**63, None]], pa.list_(pa.decimal128(20, 0)),
       [[Decimal(1), Decimal(2)], None, [Decimal(2**63), None]])
      for make in (pa.list_, pa.large_list, pa.list_view, pa.large_list_view, lambda kind: pa.list_(kind, 2))],
    (pa.list_(pa.int64()), [[], [1], None], pa.list_(pa.int64()), None),
    (pa.list_(pa.float16()), [[np.float16(0.5)], None, []], pa.list_(pa.float32()), [[0.5], None, []]),
    (pa.list_(pa.timestamp("s")), [[NOON.replace(microsecond=0)], []], pa.list_(US), None),
    (pa.list_(pa.timestamp("ns", "Asia/Tokyo")), [[NOON.replace(tzinfo=UTC)], []], pa.list_(ZONED), None),
    (pa.list_(pa.dictionary(pa.int8(), pa.string())), [["a", "b"], ["a"], None], pa.list_(pa.string()), None),
    (pa.list_(pa.string_view()), [["a", None], []], pa.list_(pa.string()), None),
    (pa.list_(pa.binary(2)), [[b"ab"], None], pa.list_(pa.binary()), None),
    (pa.list_(pa.uuid()), [[ID], None], pa.list_(pa.string()), [[str(ID)], None]),
    (pa.list_(pa.null()), [[None], None], pa.list_(pa.string()), None),
    (pa.list_(pa.list_(pa.uint8())), [[[1], None], None], pa.list_(pa.list_(pa.int64())), None),
    (pa.large_list(pa.list_(pa.float16(), 1)), [[[np.float16(0.5)]]], pa.list_(pa.list_(pa.float32())), [[[0.5]]]),
]  # fmt: skip
REFUSED = [
    pa.duration("s"), pa.month_day_nano_interval(), pa.struct({"a": pa.int8()}), pa.map_(pa.string(), pa.int8()),
    pa.list_(pa.struct({"a": pa.int8()})), pa.list_(pa.duration("us")), pa.dense_union([pa.field("a", pa.int8())]),
]  # fmt: skip


def array(kind: pa.DataType, values: list) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        plain = {uuid.UUID: lambda value: value.bytes, bool: int}
        values = [plain.get(type(value), lambda value: value)(value) for value in values]
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    if pa.types.is_list(kind) and isinstance(kind.value_type, pa.BaseExtensionType):
        inner = array(kind.value_type, [x for value in values for x in value or []])
        offsets = np.cumsum([0, *(len(value or []) for value in values)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), inner, mask=pa.array([v is None for v in values]))
    if pa.types.is_run_end_encoded(kind):
        return pc.run_end_encode(pa.array(values, kind.value_type), run_end_type=kind.run_end_type)
    return pa.array(values, kind)


def pool(path, **columns):
    rows = len(next(iter(columns.values())))
    pq.write_table(
        pa.table({"url": [f"http://x/{i}" for i in range(rows)], "text": ["t"] * rows, **columns}),
        path,
        row_group_size=2,
    )
    return path


def read(path, *names, **options):
    given = Input(paths=[str(path)], pass_through=list(names), **options)
    found = plan(given, False)
    rows = pa.Table.from_batches([b for split in found.splits for b in read_split(split, found, given)])
    data = rows.filter(pc.is_null(rows["dropped"]))
    lost = rows.filter(pc.equal(rows["dropped"], "values_lost"))
    counts = {}
    for line in lost.to_pylist():
        counts[line["source_uid"]] = counts.get(line["source_uid"], 0) + line["copies"]
    return data, counts


@pytest.mark.parametrize(("kind", "values", "want", "there"), KINDS, ids=[str(k[0]) for k in KINDS])
def test_every_type_is_read(tmp_path, kind, values, want, there):
    column = array(kind, values)
    assert promoted([stored(kind)]) == want
    for part in (column, column[1:], column[:0], pa.concat_arrays([column, column])[1:]):
        got, lost = fit(part, want)
        assert (got.type, lost) == (want, 0)
        assert len(got) == len(part)
    expected = values if there is None else there
    assert fit(column, want)[0].to_pylist() == expected
    assert fit(column[1:], want)[0].to_pylist() == expected[1:]
    try:
        pool(tmp_path / "a.parquet", x=column)
    except pa.ArrowNotImplementedError:
        return  # Parquet has no such type.
    data, lost = read(tmp_path / "a.parquet", "x")
    assert data["x"].to_pylist() == expected
    assert lost == {}


@pytest.mark.parametrize("kind", REFUSED, ids=str)
def test_types_that_no_table_holds_are_refused(tmp_path, kind):
    assert stored(kind) is None
    try:
        pool(tmp_path / "a.parquet", x=pa.nulls(1, kind))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return  # Parquet has no such type.
    with pytest.raises(UsageError, match="plain values and lists are allowed") as error:
        read(tmp_path / "a.parquet", "x")
    assert "\n" not in str(error.value)


# (values of one file, of another, type in the tables, values there, values lost)
MIXED = [
    (pa.array([1], pa.int8()), pa.array([2**40], pa.int64()), pa.int64(), [1, 2**40], 0),
    (pa.array([1], pa.uint8()), pa.array([-1], pa.int8()), pa.int64(), [1, -1], 0),
    (pa.array([2**64 - 1], pa.uint64()), pa.array([-1], pa.int64()), pa.decimal128(20, 0), [Decimal(2**64 - 1), Decimal(-1)], 0),
    (pa.array([1, None], pa.int64()), pa.array([float("nan"), 1.7]), pa.float64(), [1.0, None, "nan", 1.7], 0),
    (pa.array([2**53 + 1, 2**60, 3], pa.int64()), pa.array([1.5]), pa.float64(), [None, None, 3.0, 1.5], 2),
    (pa.array([2**64 - 1, 3], pa.uint64()), pa.array([1.5]), pa.float64(), [None, 3.0, 1.5], 1),
    (pa.array([Decimal(2**60), Decimal(7)], pa.decimal128(20, 0)), pa.array([1.5]), pa.float64(), [None, 7.0, 1.5], 1),
    (pa.array([0.5], pa.float32()), pa.array([0.1], pa.float64()), pa.float64(), [0.5, 0.1], 0),
    (pa.array([True, None]), pa.array([7], pa.int8()), pa.int8(), [1, None, 7], 0),
    (pa.array([True, False]), pa.array([0.5]), pa.float64(), [1.0, 0.0, 0.5], 0),
    (pa.array([True]), pa.array([Decimal("0.5")], pa.decimal128(1, 1)), pa.decimal128(2, 1), [Decimal(1), Decimal("0.5")], 0),
    (pa.array([7], pa.int64()), pa.array([Decimal("0.5")]), pa.decimal128(20, 1), [Decimal(7), Decimal("0.5")], 0),
    (pa.array([0.5]), pa.array([Decimal("0.1")]), pa.string(), ["0.5", "0.1"], 0),
    (pa.array([1.0, 0.1, 1e300, None]), pa.array(["x"]), pa.string(), ["1", "0.1", "1e+300", None, "x"], 0),
    (pa.array([1581282014547.0]), pa.array(["x"]), pa.string(), ["1581282014547", "x"], 0),
    (pa.array([7], pa.uint64()), pa.array(["x"]).dictionary_encode(), pa.string(), ["7", "x"], 0),
    (pa.array([True]), pa.array(["x"]), pa.string(), ["true", "x"], 0),
    (pa.array([b"\xff", b"a"]), pa.array(["x"]), pa.string(), [None, "a", "x"], 1),
    (pa.array([None, None]), pa.array([0.5]), pa.float64(), [None, None, 0.5], 0),
    (pa.array([NOON], pa.timestamp("ns")), pa.array([NOON], pa.timestamp("ms")), US, [NOON, NOON.replace(microsecond=123000)], 0),
    (pa.array([NOON], US), pa.array([NOON], pa.timestamp("us", "Asia/Tokyo")), ZONED, [NOON.replace(tzinfo=UTC)] * 2, 0),
    (pa.array([dt.date(2024, 1, 2)]), pa.array([NOON], US), US, [dt.datetime(2024, 1, 2), NOON], 0),
    (pa.array([dt.date(2024, 1, 2)]), pa.array(["x"]), pa.string(), ["2024-01-02", "x"], 0),
    (pa.array([[1]]), pa.array([[0.5, None], None]), pa.list_(pa.float64()), [[1.0], [0.5, None], None], 0),
    (pa.array([[2**60, 1]]), pa.array([[0.5]]), pa.list_(pa.float64()), [[None, 1.0], [0.5]], 1),
    (pa.array([None], pa.list_(pa.null())), pa.array([["a"]]), pa.list_(pa.string()), [None, ["a"]], 0),
]  # fmt: skip


def comparable(values):
    """NaN is a value of a float column, and no null."""
    return ["nan" if isinstance(v, float) and v != v else v for v in values]


@pytest.mark.parametrize(("one", "other", "want", "there", "missed"), MIXED)
def test_files_of_several_types(tmp_path, one, other, want, there, missed):
    pool(tmp_path / "a.parquet", x=one)
    pool(tmp_path / "b.parquet", x=other)
    data, lost = read(tmp_path, "x")
    assert data.schema.field("x").type == want
    assert comparable(data["x"].to_pylist()) == there
    assert lost == ({"x": missed} if missed else {})


def test_the_order_of_files_does_not_matter():
    kinds = {str(k): k for k in (stored(kind) for kind, *_ in KINDS)}.values()
    plain = [kind for kind in kinds if not pa.types.is_list(kind)]
    for chosen in itertools.combinations(plain, 3):
        assert len({str(promoted(list(order))) for order in itertools.permutations(chosen)}) == 1


def test_a_timestamp_out_of_range_is_lost_alone(tmp_path):
    pool(tmp_path / "a.parquet", x=pa.array([2**60, 5, None], pa.timestamp("ms")))
    data, lost = read(tmp_path / "a.parquet", "x")
    assert data["x"].to_pylist() == [None, dt.datetime(1970, 1, 1, 0, 0, 0, 5000), None]
    assert lost == {"x": 1}


def test_lists_beside_what_is_none(tmp_path):
    pool(tmp_path / "a.parquet", x=pa.array([[1]]))
    pool(tmp_path / "b.parquet", x=pa.array(["x"]))
    with pytest.raises(
        UsageError, match=r"column 'x' is list.* in .*a.parquet, but string in .*b.parquet; lists in all"
    ):
        read(tmp_path, "x")


@pytest.mark.parametrize(
    ("column", "want"),
    [
        (pa.array([1581282014547.0, 0.5, float("nan"), -0.0, 1e300, None]), ["1581282014547", "0.5", None, "0", "1e+300", None]),
        (pa.array([0.1, 7.0], pa.float32()), ["0.1", "7"]),
        (pa.array(np.array([0.5, np.nan], np.float16)), ["0.5", None]),
        (pa.array([5, None], pa.int64()), ["5", None]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([Decimal("7")], pa.decimal128(20, 0)), ["7"]),
        (pa.array([b"\x01\xff"], pa.binary(2)), ["01ff"]),
        (array(pa.uuid(), [ID, None]), [ID.hex, None]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (pa.array([b"a", b"\xff"]), ["a", None]),
        (pa.array([True]), ["true"]),
        (pa.nulls(2), [None, None]),
    ],
)  # fmt: skip
def test_ids(column, want):
    assert as_id(column)[0].to_pylist() == want


def test_ids_of_files_that_differ_in_type_are_the_same(tmp_path):
    for name, kind in [("a", pa.int64()), ("b", pa.float64()), ("c", pa.decimal128(20, 0)), ("d", pa.string())]:
        pool(tmp_path / f"{name}.parquet", SAMPLE_ID=pa.array([1581282014547], pa.int64()).cast(kind))
    data, _ = read(tmp_path, columns={"source_uid": "SAMPLE_ID"})
    assert data["source_uid"].to_pylist() == ["1581282014547"] * 4


def test_sizes_and_what_is_lost_of_them():
    sizes, lost = as_size(pa.array([1.0, None, float("nan"), 3e12, -4.0]))
    assert (sizes.to_pylist(), lost) == ([1, None, None, None, None], 2)
    sizes, lost = as_size(pa.array([b"7", b"", b" 8.0 ", b"wide", None, b"\xff"]))
    assert (sizes.to_pylist(), lost) == ([7, None, 8, None, None, None], 2)
    assert as_size(pa.array([Decimal("7.5")]))[0].to_pylist() == [7]


def test_texts_of_floats_read_back_as_the_same_floats():
    values = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-300, 300, 0.6)
    assert [float(text) for text in as_text(pa.array(values))[0].to_pylist()] == values.tolist()
