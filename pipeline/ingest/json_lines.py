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
TEXT = (str, type(None))
# From here on a float may have been an integer of more digits.
EXACT = 2.0**53


def json_batches(
    blocks: Iterator[bytes], columns: list[str], texts: set[str], ids: str | None, bad: Counter
) -> Iterator[pa.RecordBatch]:
    """Batches of a JSON-lines source: the named keys as bytes.

    Counted in ``bad``: a line that is no JSON object, and one with something else than a string under a key in
    ``texts``. Other keys may hold anything, which comes out as JSON; under ``ids`` a whole float is an integer.
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
            if not isinstance(row, dict):
                bad[MALFORMED] += 1
            elif not all(isinstance(row.get(name), TEXT) for name in texts):
                bad[NOT_TEXT] += 1
            else:
                for name in columns:
                    value = row.get(name)
                    if isinstance(value, float) and abs(value) >= EXACT:
                        value = _read_by_python(line)[name]
                    if name == ids and isinstance(value, float) and value.is_integer():
                        value = int(value)
                    values[name].append(_json_bytes(value, by_python))
        yield pa.record_batch({name: pa.array(column, pa.binary()) for name, column in values.items()})


def _read_by_python(line: bytes) -> Any:
    """The value of a line, or None where it is no JSON for Python either."""
    try:
        return json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None


def _json_bytes(value: Any, by_python: bool) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _encoded(value) if by_python else value.encode()
    if by_python or isinstance(value, int):  # orjson writes NaN as null, and no integer of more than 64 bits
        return _encoded(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return orjson.dumps(value)


def _encoded(text: str) -> bytes:
    """The text in UTF-8; bytes that were not UTF-8 as they were, halves of surrogate pairs as such bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
