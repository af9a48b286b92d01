"""JSON lines: what orjson refuses and can be read, and what is no text."""

from collections import Counter

import pytest

from pipeline.ingest.json_lines import json_batches

GOOD = b'{"u": "x", "t": "y"}\n'


def read(content: bytes, columns=("u", "t", "i", "p")):
    bad = Counter()
    batches = list(json_batches(iter([content]), list(columns), "u", "t", "i", bad))
    return [row for batch in batches for row in batch.to_pylist()], dict(bad)


@pytest.mark.parametrize(
    ("line", "want"),
    [
        (b'{"u": "x", "t": "y", "p": NaN}', {"p": b"NaN"}),
        (b'{"u": "x", "t": "y", "p": -Infinity, "i": 7.0}', {"p": b"-Infinity", "i": b"7"}),
        (b'{"u": "x", "t": "y", "p": 1e400}', {"p": b"Infinity"}),
        (b'{"u": "x", "t": "y", "p": [NaN, "\xc3\xa9"]}', {"p": b'[NaN,"\xc3\xa9"]'}),
        (b'\xef\xbb\xbf{"u": "x", "t": "y"}', {}),
        (b'{"u": "x", "t": "y", "more": "\\ud800"}', {}),
        (b'{"u": "x", "t": "a \\ud800 b"}', {"t": b"a \xed\xa0\x80 b"}),  # not UTF-8, by which name it is dropped
        (b'{"u": "x", "t": "\\ud83d\\ude00", "p": NaN}', {"t": "😀".encode(), "p": b"NaN"}),
        (b'{"u": "x", "t": "y", "p": "\xff\\ud800"}', None),
        (b'{"u": "x", "t": "\xff"}', {"t": b"\xff"}),
        (b'{"u": "x", "t": "y", "more": "\xff"}', {}),
        (b'{"u": "x", "t": "y", "i": 1581282014547.0}', {"i": b"1581282014547"}),
        (b'{"u": "x", "t": "y", "i": 0.5, "p": 2.0}', {"i": b"0.5", "p": b"2.0"}),
        (b'{"u": "x", "t": "y", "i": 123456789012345678901234567890}', {"i": b"123456789012345678901234567890"}),
        (b'{"u": "x", "t": "y", "i": 18446744073709551615}', {"i": b"18446744073709551615"}),
        (b'{"u": "x", "t": "y", "i": 1e300}', {"i": b"1e+300"}),
        (b'{"u": "x", "t": "y", "p": {"c": true}, "i": "\\u0000"}', {"p": b'{"c":true}', "i": b"\0"}),
        (b'{"u": "x", "t": null}', {"t": None}),
        (b'{"u": "x"}\r', {"t": None}),
    ],
)
def test_lines_that_can_be_read(line, want):
    rows, bad = read(GOOD + line + b"\n" + GOOD)
    assert bad == {}
    assert len(rows) == 3
    if want is not None:
        assert rows[1] == {"u": b"x", "t": b"y", "i": None, "p": None} | want


@pytest.mark.parametrize("value", [b"5", b"1.5", b"true", b"false", b'["a"]', b'{"a": 1}', b"NaN"])
@pytest.mark.parametrize("key", [b"u", b"t"])
def test_what_is_no_text(key, value):
    row = {b"u": b'"x"', b"t": b'"y"'} | {key: value}
    line = b"{" + b", ".join(b'"%s": %s' % pair for pair in row.items()) + b"}\n"
    rows, bad = read(line + GOOD)
    assert (len(rows), bad) == (1, {"not_text": 1})


@pytest.mark.parametrize(
    "line", [b"[1]", b"no json", b'"text"', b"7", b"NaN", b"null", b'{"u": "x"', b"[" * 100_000, b'{"u": "a\nb"}'[:9]]
)
def test_what_is_no_object(line):
    rows, bad = read(line + b"\n\n" + GOOD)
    assert (len(rows), bad) == (1, {"malformed_row": 1})
