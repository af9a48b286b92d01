"""CSV against Python's reader, pyarrow's and a slow one of regular expressions; quotes that are never closed."""

import csv
import io
import re
from collections import Counter

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.ingest.delimited import delimited_batches
from pipeline.ingest.quotes import UNCLOSED, whole_records
from pipeline.ingest.text import Rows

contents = st.text(alphabet='",\n\ra b"', max_size=40).map(str.encode)
QUOTED, PLAIN = re.compile(rb'"(?:[^"]|"")*+"'), re.compile(rb"[^,\r\n]*")
LINE_END = re.compile(rb"\r\n|\r|\n")


def cut(content: bytes, size: int) -> list[bytes]:
    return [content[i : i + size] for i in range(0, len(content), size)]


def by_hand(content: bytes, multiline: bool, most_lines: int) -> tuple[bytes, int]:
    """The content without the records of unclosed quotes, and how many those were."""
    kept, at, unclosed = [], 0, 0
    while at < len(content):
        place, bad = at, None
        while True:  # cells
            if content[place : place + 1] == b'"':
                cell = QUOTED.match(content, place)
                inside = cell.group() if cell else content[place:]
                lines = len(LINE_END.findall(inside))
                after = content[cell.end() : cell.end() + 1] if cell else b"x"
                if (
                    cell is None or (lines and after not in (b"", b",", b"\n", b"\r"))
                    or (lines >= most_lines if multiline else b"\n" in inside)
                ):  # fmt: skip
                    bad = place
                    break
                place = cell.end()
            place = PLAIN.match(content, place).end()
            if content[place : place + 1] != b",":
                break
            place += 1
        if bad is None:
            end = place + 1
            kept.append(content[at:end])
        else:
            found = LINE_END.search(content, bad)
            end = found.end() if found else len(content)
            unclosed += 1
        at = end
    return b"".join(kept), unclosed


@settings(deadline=None, max_examples=400)
@given(content=contents, size=st.integers(1, 50), multiline=st.booleans(), most_lines=st.integers(1, 4))
@example(b'a,"b\nc,d\ne,"f"\n', 7, True, 4)
@example(b'"a""\nb",c\n', 50, True, 4)
@example(b'""a"b\n"', 50, True, 4)
def test_records_as_by_hand_however_the_file_is_cut(content, size, multiline, most_lines):
    bad = Counter()
    blocks = whole_records(Rows(iter(cut(content, size))), multiline, 1 << 20, bad, most_lines)
    assert (b"".join(blocks), bad[UNCLOSED]) == by_hand(content, multiline, most_lines)


def rows_of(content: bytes, columns=("a", "b"), multiline=True, size=1 << 20, most=1 << 20):
    bad = Counter()
    batches = delimited_batches(Rows(iter(cut(content, size))), columns, False, multiline, most, bad)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()], dict(bad)


def whole_by_arrow(content: bytes) -> list[tuple]:
    """The rows of two columns as pyarrow reads the file in one piece."""
    kinds = {"a": pa.binary(), "b": pa.binary()}
    table = pacsv.read_csv(
        pa.BufferReader(content), pacsv.ReadOptions(column_names=["a", "b"], block_size=len(content) + 1),
        pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip"),
        pacsv.ConvertOptions(check_utf8=False, column_types=kinds),
    )  # fmt: skip
    return [tuple(row.values()) for row in table.to_pylist()]


@settings(deadline=None, max_examples=300)
@given(content=contents, size=st.integers(1, 50))
def test_pyarrow_reads_the_same_from_records_as_from_the_whole(content, size):
    rows, bad = rows_of(content, size=size)
    if not bad.get(UNCLOSED) and content.strip():
        assert rows == whole_by_arrow(content)


cells = st.text(alphabet='",\n\ra é', max_size=6)


@settings(deadline=None, max_examples=300)
@given(
    rows=st.lists(st.tuples(cells, cells), max_size=12),
    # With line feeds alone Python leaves a carriage return unquoted, which is a line end.
    style=st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
    size=st.integers(1, 50),
)
def test_what_python_writes_is_read_as_python_reads_it(rows, style, size):
    end, quoting = style
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=quoting).writerows(rows)
    found, bad = rows_of(out.getvalue().encode(), size=size)
    assert bad == {}
    assert found == [
        tuple(cell.encode() for cell in row) for row in csv.reader(io.StringIO(out.getvalue(), newline=""))
    ]


GOOD = b"".join(b"http://x/%d,text %d\n" % (i, i) for i in range(20_000))


@pytest.mark.parametrize("multiline", [True, False])
@pytest.mark.parametrize(
    ("open_line", "after"),
    [
        (b'http://x/o,"never closed\n', GOOD),  # nothing closes it
        (b'http://x/o,"never closed\n', GOOD[:300].rsplit(b"\n", 1)[0] + b"\n"),  # the file ends within the bounds
        (b'http://x/o,"never closed\n', b'http://x/q,"quoted"\n' + GOOD),  # the next quote does not close it
        (b'"http://x/o,never closed\n', b'"http://x/q","quo ""ted"""\n' + GOOD),
        (b'http://x/o,"\n', GOOD),
        (b'http://x/o,"never closed""\n', GOOD),
        (b'http://x/o,"never closed\r\n', GOOD.replace(b"\n", b"\r\n")),
    ],
)
def test_an_unclosed_quote_costs_its_row_alone(multiline, open_line, after):
    before = GOOD[:5000].rsplit(b"\n", 1)[0] + b"\n"
    rows, bad = rows_of(before + open_line + after, multiline=multiline)
    assert bad == {UNCLOSED: 1}
    assert len(rows) == before.count(b"\n") + after.count(b"\n")
    assert rows[-1][1] == after.strip().rsplit(b",", 1)[1]


@pytest.mark.parametrize("lines", [1, 2, 900])
def test_long_cells_are_bounded_over_lines_only(lines):
    text = b"\n".join([b"x" * (20_000_000 // lines)] * lines)
    rows, bad = rows_of(GOOD + b'http://x/o,"' + text + b'"\n' + GOOD)
    if lines == 1:  # too long for a text, but it is one row
        assert bad == {}
        assert len(rows) == 40_001
    else:  # its quote counts as not closed, and each of its lines is a line
        assert bad.pop(UNCLOSED) == 1
        assert bad == {"malformed_row": lines - 1}
        assert len(rows) == 40_000


def test_many_quotes_that_are_not_closed_take_no_longer():
    content = b"".join(b'http://x/%d,"%d inches\n' % (i, i) for i in range(50_000))
    assert rows_of(content) == ([], {UNCLOSED: 50_000})


def test_a_file_of_carriage_returns():
    assert rows_of(b'a,b\rc,"d\re"\rf,g\r') == ([(b"a", b"b"), (b"c", b"d\re"), (b"f", b"g")], {})
