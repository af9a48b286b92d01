"""Splits and gzip: every line once, whatever the cut, and what comes before damage is kept."""

import gzip
import io
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ingest.delimited import delimited_batches
from pipeline.ingest.text import Damage, Rows, blocks, gzip_chunks, plain_chunks, utf16_chunks

lines = st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"")), max_size=30)


@settings(deadline=None)
@given(lines=lines, last=st.booleans(), size=st.integers(1, 40), skip=st.integers(0, 5))
def test_splits_share_no_line_and_lose_none(lines, last, size, skip):
    content = b"\n".join(lines) + (b"\n" if last else b"")
    start = content.find(b"\n") + 1 if skip and b"\n" in content else 0  # a header
    got = b""
    for at in range(start, max(len(content), start + 1), size):
        end = min(len(content), at + size)
        part = b"".join(plain_chunks(io.BytesIO(content), at, end, start))
        # Each split has whole lines only.
        assert not part or part.endswith(b"\n") or got + part == content[start:]
        got += part
    assert got == content[start:]


@given(chunks=st.lists(st.binary(max_size=9), max_size=20))
def test_blocks_are_whole_lines(chunks):
    found = list(blocks(iter(chunks)))
    assert b"".join(found) == b"".join(chunks)
    assert all(block.endswith(b"\n") for block in found[:-1])


def test_gzip_members_padding_and_skip():
    content = gzip.compress(b"head\na\n") + gzip.compress(b"b\nc") + b"\0" * 700
    assert b"".join(gzip_chunks(io.BytesIO(content), skip=5)) == b"a\nb\nc"


@pytest.mark.parametrize("cut", [1, 4, 9, 40, 1000])
def test_a_truncated_gzip_gives_the_lines_before_the_cut(cut):
    lines = [b"%d,text number %d" % (i, i * i) for i in range(5000)]
    whole = gzip.compress(b"\n".join(lines) + b"\n")
    source = Rows(gzip_chunks(io.BytesIO(whole[:-cut]), 0))
    got = b"".join(source)
    assert isinstance(source.damage, Damage)
    assert got.endswith(b"\n")
    assert got.split(b"\n")[:-1] == lines[: got.count(b"\n")]
    assert got.count(b"\n") > 4000
    if cut <= 8:  # only the end mark is gone
        assert got.count(b"\n") == 5000
        assert source.damage.partial == 0


def test_rubbish_after_a_member():
    source = Rows(gzip_chunks(io.BytesIO(gzip.compress(b"a\n") + b"rubbish"), 0))
    assert b"".join(source) == b"a\n"
    assert "gzip" in str(source.damage)


def rows_of(content: bytes, columns=("a", "b"), tsv=True, multiline=True):
    bad = Counter()
    batches = list(delimited_batches(Rows(iter([content])), columns, tsv, multiline, 1 << 20, bad))
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()], bad["malformed_row"]


def test_tsv_has_no_quoting_and_keeps_bad_bytes():
    content = b"\"quoted\tx\n'\xff\t\x00\nonly one\n\n a \t b\nx\ty\tz\n"
    assert rows_of(content) == ([(b'"quoted', b"x"), (b"'\xff", b"\x00"), (b" a ", b" b")], 2)


def test_csv_quotes_and_line_ends_inside():
    content = b'"a ""b""","line\nend"\nplain,\xfe\nNA,\nnull,"x"\n'
    want = [(b'a "b"', b"line\nend"), (b"plain", b"\xfe"), (b"NA", b""), (b"null", b"x")]
    assert rows_of(content, tsv=False) == (want, 0)
    assert rows_of(b"", tsv=False) == ([], 0)
    assert rows_of(b"a,b\n", tsv=False, multiline=False) == ([(b"a", b"b")], 0)


def test_a_line_longer_than_a_block():
    long = b"x" * (20 << 20)
    assert rows_of(b"a\t" + long + b"\nb\tc\n") == ([(b"a", long), (b"b", b"c")], 0)


@settings(deadline=None)
@given(text=st.text(max_size=30), size=st.integers(1, 9), order=st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_utf16_in_pieces(text, size, order):
    content = text.encode(order)
    chunks = [content[i : i + size] for i in range(0, len(content), size)]
    assert b"".join(utf16_chunks(iter(chunks), order, 0)) == text.encode()
    assert b"".join(utf16_chunks(iter(chunks), order, 4)) == text.encode()[4:]


def test_utf16_that_is_cut_or_broken():
    source = Rows(utf16_chunks(iter(["a\nb\nc".encode("utf-16-le")[:-1]]), "utf-16-le", 0))
    assert list(source) == [b"a\nb\n"]
    assert "UTF-16" in str(source.damage)
    halves = b"".join(utf16_chunks(iter([b"a\0\x00\xd8b\0"]), "utf-16-le", 0))
    assert halves == b"a\xed\xa0\x80b"
