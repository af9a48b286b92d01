"""The rows of JSON lines, as Arrow columns of bytes that are not yet checked for UTF-8.

orjson reads the lines. What it refuses goes to Python's own reader, which takes ``NaN`` and ``Infinity``, halves of
surrogate pairs, bytes that are not UTF-8 (in a URL or text they make it ``invalid_utf8``), and integers of any size.
"""

import codecs
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pyarrow as pa

from pipeline.ingest.delimited import MALFORMED

NOT_TEXT = "not_text"
TEXT = {str, type(None)}
# From here on a float may have been an integer of more digits.
EXACT = 2.0**53
BEYOND_LONG = 2.0**63


def json_batches(
    blocks: Iterator[bytes], columns: list[str], url: str, text: str, ids: str | None, bad: Counter
) -> Iterator[pa.RecordBatch]:
    """Batches of a JSON-lines source: the named keys as bytes.

    Counted in ``bad``: a line that is no JSON object, and one with something else than a string as URL or text. Other
    keys may hold anything, which comes out as JSON; under the key ``ids`` a whole float is an integer.
    """
    for block in blocks:
        values: dict[str, list[bytes | None]] = {name: [] for name in columns}
        for line in block.split(b"\n"):
            if not line.strip():
                continue
            try:
                row, by_python = orjson.loads(line), False
            except orjson.JSONDecodeError:
                row, by_python = _read_by_python(line), True
            if type(row) is not dict:
                bad[MALFORMED] += 1
                continue
            if type(row.get(url)) not in TEXT or type(row.get(text)) not in TEXT:
                bad[NOT_TEXT] += 1
                continue
            for name, column in values.items():
                value = row.get(name)
                if type(value) is str and not by_python:
                    value = value.encode()
                elif value is not None:
                    if type(value) is float and (name == ids or abs(value) >= EXACT):
                        value = _integer(value, line, name, name == ids)
                    value = _by_python(value) if by_python or type(value) is int else orjson.dumps(value)
                column.append(value)
        yield pa.record_batch({name: pa.array(column, pa.binary()) for name, column in values.items()})


def _read_by_python(line: bytes) -> Any:
    """The value of a line, or None where it is no JSON for Python either."""
    try:
        return json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None


def _integer(value: float, line: bytes, name: str, is_id: bool) -> float | int:
    """The integer that a float is: it may have been one of many digits, and as an id a whole one is."""
    if abs(value) >= EXACT and isinstance(integer := _read_by_python(line)[name], int):
        return integer
    return int(value) if is_id and abs(value) < BEYOND_LONG and value.is_integer() else value


def _by_python(value: Any) -> bytes:
    """The bytes of what orjson does not write as it is: NaN, integers of more than 64 bits, halves of pairs."""
    if isinstance(value, str):
        return _encoded(value)
    if type(value) is int:
        return str(value).encode()
    return _encoded(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _encoded(text: str) -> bytes:
    """The text in UTF-8; bytes that were not UTF-8 as they were, halves of surrogate pairs as such bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
