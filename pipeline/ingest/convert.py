"""Values in the types of a table: columns of the input as texts, ids, numbers, and in their planned types.

What does not fit becomes null, value by value; every function says how many those were.
"""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from pipeline.ingest.columns import BYTES, TEXTS, is_list, is_uuid

BEYOND_LONG = 2.0**63
BEYOND_INT = 2**31
AROUND = "".join(map(chr, range(0x21)))  # white space and control characters


def decoded(column: pa.Array) -> pa.Array:
    """The values that dictionaries, run ends and extension types stand for; UUIDs as their 16 bytes."""
    while True:
        if isinstance(column, pa.ExtensionArray):
            truth = column.type.extension_name == "arrow.bool8"
            column = pc.not_equal(column.storage, 0) if truth else column.storage
        elif types.is_dictionary(column.type):
            column = column.dictionary_decode()
        elif types.is_run_end_encoded(column.type):
            column = pc.run_end_decode(column)
        else:
            return column


def as_url(column: pa.Array) -> pa.Array:
    """Texts as URLs: without what browsers leave off around them (WHATWG URL, section 4.4), ``//host/x`` of HTTPS."""
    trimmed = pc.ascii_trim(column, characters=AROUND)
    without_scheme = pc.starts_with(trimmed, "//")
    if not pc.any(without_scheme).as_py():
        return trimmed
    return pc.if_else(without_scheme, pc.binary_join_element_wise("https:", trimmed, ""), trimmed)


def as_bytes(column: pa.Array) -> pa.Array:
    """A column of texts, unchecked, or of bytes, as bytes; other values as the bytes of their plain texts."""
    column = decoded(column)
    kind = column.type
    if types.is_large_string(kind):
        column = column.cast(pa.large_binary())
    elif types.is_string_view(kind):
        column = column.cast(pa.binary_view())
    elif not (types.is_string(kind) or types.is_null(kind) or any(test(kind) for test in BYTES)):
        column = as_text(column)[0]
    return column.cast(pa.binary())


def utf8(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A bytes column as texts, those that are not UTF-8 as null, and which those are."""
    try:
        return column.cast(pa.string()), pa.nulls(len(column), pa.bool_())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for value in column.to_pylist():
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
        array = pa.array(texts, pa.string())
        return array, pc.and_(pc.is_valid(column), pc.is_null(array))


def as_text(column: pa.Array) -> tuple[pa.Array, int]:
    """The values as texts in their plain form: a whole float as an integer, other floats by the shortest digits.

    Bytes are taken as UTF-8; UUIDs are written with their dashes.
    """
    if is_uuid(column.type):
        return _each(column, lambda value: str(value)), 0
    column = decoded(column)
    kind = column.type
    if types.is_null(kind) or any(test(kind) for test in (*TEXTS, *BYTES)):
        texts, bad = utf8(as_bytes(column))
        return texts, _count(bad)
    if types.is_floating(kind):
        return _plain_floats(column), 0
    return column.cast(pa.string()), 0


def as_id(column: pa.Array) -> tuple[pa.Array, int]:
    """The values as ids: texts, but bytes of a fixed size (and UUIDs) in hex, and no id for a float that is none."""
    plain = decoded(column)
    if types.is_fixed_size_binary(plain.type):
        return _each(plain, lambda value: value.hex()), 0
    if types.is_floating(plain.type):
        plain = pc.if_else(pc.is_nan(plain.cast(pa.float64())), None, plain)
    return as_text(plain)


def as_size(column: pa.Array) -> tuple[pa.Array, int]:
    """Widths and heights as int32; what is no number in its range is null. Blank texts and NaN are missing values."""
    column = decoded(column)
    if types.is_integer(column.type) or types.is_floating(column.type) or types.is_decimal(column.type):
        numbers = column.cast(pa.float64(), safe=False)
        missing = pc.is_nan(numbers)
    else:
        texts, _ = utf8(as_bytes(column))
        trimmed = pc.utf8_trim_whitespace(texts)
        missing = pc.equal(trimmed, "")
        found = pc.match_substring_regex(trimmed, r"^[0-9]{1,9}(\.[0-9]*)?$")
        numbers = pc.if_else(found, trimmed, None).cast(pa.float64())
    inside = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, BEYOND_INT))
    sizes = pc.if_else(inside, numbers, None).cast(pa.int32(), safe=False)
    lost = pc.and_(pc.and_(pc.is_valid(column), pc.is_null(sizes)), pc.invert(pc.fill_null(missing, False)))
    return sizes, _count(lost)


def fit(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, int]:
    """A column in its planned type (see ``pipeline.ingest.columns``), and how many values did not fit."""
    if types.is_string(kind):
        return as_text(column)
    if is_list(kind):
        return _fit_lists(decoded(column), kind)
    column = decoded(column)
    if types.is_null(column.type):
        return pa.nulls(len(column), kind), 0
    if types.is_boolean(column.type) and not types.is_boolean(kind):
        one, zero = (pa.scalar(Decimal(value), pa.decimal128(38, 0)).cast(kind) for value in (1, 0))
        return pc.if_else(column, one, zero), 0
    if types.is_decimal(column.type) and types.is_floating(kind):
        whole, lost = _cast(column, pa.int64())
        floats, inexact = _cast(whole, kind)
        return floats, lost + inexact
    if types.is_date(column.type) and types.is_timestamp(kind):
        column, lost = _cast(column, pa.timestamp("us"))
        return column.cast(kind), lost
    return _cast(column, kind)


def _cast(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, int]:
    """The column in another type; where a value does not fit, the others are found by halving."""
    options = pc.CastOptions(target_type=kind, allow_time_truncate=True, allow_decimal_truncate=False)
    try:
        return pc.cast(column, options=options), 0
    except pa.ArrowException:
        if len(column) <= 1:
            return pa.nulls(len(column), kind), len(column)
        half = len(column) // 2
        (one, lost), (other, more) = _cast(column[:half], kind), _cast(column[half:], kind)
        return pa.concat_arrays([one, other]), lost + more


def _fit_lists(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, int]:
    """Lists of any kind as plain lists, their values in the planned type."""
    if types.is_null(column.type):
        return pa.nulls(len(column), kind), 0
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(lengths)
    if types.is_list_view(column.type) or types.is_large_list_view(column.type):  # Arrow casts those wrongly
        starts = np.where(lengths, column.offsets.to_numpy(), 0)
        values = column.values.take(pa.array(np.repeat(starts - (ends - lengths), lengths) + np.arange(lengths.sum())))
    else:
        values = column.flatten()
    fitting, lost = fit(values, kind.value_type)
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, fitting, type=kind, mask=pc.is_null(column))
    return lists, lost


def _plain_floats(column: pa.Array) -> pa.Array:
    wide = column.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.floor(wide), wide), pc.less(pc.abs(wide), BEYOND_LONG))
    integers = pc.if_else(whole, wide, None).cast(pa.int64()).cast(pa.string())
    return pc.coalesce(integers, column.cast(pa.string()))


def _each(column: pa.Array, change: Callable) -> pa.Array:
    return pa.array([None if value is None else change(value) for value in column.to_pylist()], pa.string())


def _count(which: pa.Array) -> int:
    return pc.sum(which).as_py() or 0
