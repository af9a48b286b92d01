"""The types of pass-through columns: what a table holds for a column of any Arrow type, in files that may differ.

| in the input | in the tables |
|---|---|
| bool, signed integers, float32 and float64, decimals of up to 38 digits, text, bytes, dates | the same |
| unsigned integers | int64; uint64 decimal(20, 0) |
| float16 | float32 |
| timestamps | in microseconds (finer is cut off), of any zone in UTC |
| times, decimals of more digits, UUIDs, nothing but nulls | text |
| dictionaries, run ends, extensions | as the values that they stand for |
| lists of any kind | lists |
| structs, maps, unions, durations, intervals | refused |

Files of several types: integers and decimals the narrowest that holds all; integers and floats float64; true and false
with numbers 1 and 0; dates and timestamps timestamps; a timestamp without a zone is taken as UTC; lists by their
values; anything else text. A value that does not fit in there (an integer that float64 would round, bytes that are not
UTF-8, a time out of range) becomes null and is counted.
"""

import pyarrow as pa
from pyarrow import types

MOST_DIGITS = 38
DIGITS = {1: 1, 8: 3, 16: 5, 32: 10, 64: 19}
LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
TEXTS = (types.is_string, types.is_large_string, types.is_string_view)
BYTES = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)


def is_list(kind: pa.DataType) -> bool:
    """Whether it is a list type of any kind."""
    return any(test(kind) for test in LISTS)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a URL or a text: text, or bytes of any length, that are looked at then."""
    kind = without_coding(kind)
    return any(test(kind) for test in (*TEXTS, *BYTES[:3], types.is_null))


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be a width: a number, or its text."""
    kind = without_coding(kind)
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or is_text(kind)


def is_uuid(kind: pa.DataType) -> bool:
    """Whether it is Arrow's extension type for UUIDs."""
    return isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid"


def without_coding(kind: pa.DataType) -> pa.DataType:
    """The type of what a dictionary, run ends or an extension type stand for; UUIDs and true and false stay."""
    while True:
        if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType) and not is_uuid(kind):
            kind = pa.bool_() if kind.extension_name == "arrow.bool8" else kind.storage_type
        else:
            return kind


def stored(kind: pa.DataType) -> pa.DataType | None:
    """The type of a table's column for one of this type; None where there is none. Null is still open."""
    kind = without_coding(kind)
    if is_list(kind):
        inner = stored(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if types.is_null(kind) or types.is_boolean(kind) or types.is_signed_integer(kind) or types.is_date32(kind):
        return kind
    if types.is_unsigned_integer(kind):
        return pa.decimal128(20, 0) if kind == pa.uint64() else pa.int64()
    if types.is_floating(kind):
        return pa.float32() if types.is_float16(kind) else kind
    if types.is_decimal(kind):
        return _decimal(kind.precision - min(0, kind.scale), max(0, kind.scale))
    if is_uuid(kind) or types.is_time(kind) or any(test(kind) for test in TEXTS):
        return pa.string()
    if any(test(kind) for test in BYTES):
        return pa.binary()
    if types.is_date64(kind):
        return pa.date32()
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    return None


def promoted(kinds: list[pa.DataType]) -> pa.DataType | None:
    """The type for a column that has these (``stored``) types in different files; None where there is none."""
    whole = pa.null()
    for kind in kinds:
        whole = _both(whole, kind)
        if whole is None:
            return None
    return closed(whole)


def closed(kind: pa.DataType) -> pa.DataType:
    """The type with text where there were nothing but nulls."""
    if is_list(kind):
        return pa.list_(closed(kind.value_type))
    return pa.string() if types.is_null(kind) else kind


def _both(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds values of both."""
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if is_list(one) or is_list(other):
        inner = _both(one.value_type, other.value_type) if is_list(one) and is_list(other) else None
        return None if inner is None else pa.list_(inner)
    if _is_numeric(one) and _is_numeric(other):
        return _both_numbers(one, other)
    if all(types.is_temporal(kind) for kind in (one, other)):
        return pa.timestamp("us", "UTC" if "UTC" in (getattr(one, "tz", None), getattr(other, "tz", None)) else None)
    return pa.string()


def _is_numeric(kind: pa.DataType) -> bool:
    return types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def _both_numbers(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if types.is_boolean(one) or types.is_boolean(other):
        number = other if types.is_boolean(one) else one
        return _decimals(one, other) if types.is_decimal(number) else number
    if types.is_floating(one) and types.is_floating(other):
        return pa.float64()
    if types.is_floating(one) or types.is_floating(other):
        # No float is a decimal fraction as it was written; a decimal without one is an integer.
        return pa.string() if any(types.is_decimal(k) and k.scale for k in (one, other)) else pa.float64()
    if types.is_integer(one) and types.is_integer(other):
        return max(one, other, key=lambda kind: kind.bit_width)
    return _decimals(one, other)


def _decimals(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    whole, scale = max(map(_digits, (one, other))), max(getattr(kind, "scale", 0) for kind in (one, other))
    return _decimal(whole + scale, scale)


def _digits(kind: pa.DataType) -> int:
    """How many digits before the point a type has; a truth value one."""
    return kind.precision - kind.scale if types.is_decimal(kind) else DIGITS[kind.bit_width]


def _decimal(precision: int, scale: int) -> pa.DataType:
    return pa.decimal128(precision, scale) if precision <= MOST_DIGITS else pa.string()
