"""The list of what is to go: what a line is taken for, formats, and what is refused."""

import gzip

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.remove.asked import read_asked
from pipeline.tombstones.table import Salt, Tombstones

LINES = {
    "https://a.test/x y": "text",
    "https://a.test/x": "url",
    "//a.test/x": "url",
    "a.test": "host",
    "cdn.a.test.": "host",
    "[::1]": "host",
    "0a" * 12: "image_id",
    "0a" * 8: "key",
    "-123": "pair_id",
    "9223372036854775807": "pair_id",
    "0A" * 32: "sha256",
    "a red cat": "text",
    "cat": "text",
    " spaces stay ": "text",
}


@pytest.fixture
def salt(tmp_path):
    return Salt.of(str(tmp_path / "none"))


def read(path, salt, kind=None, column=None):
    return read_asked(str(path), kind, column, salt, 0)


def has(asked, salt, kind, *values):
    lookup = Tombstones.of(asked.table, salt).asked[kind]
    return (lookup.places(pa.array(values)) >= 0).all() and len(lookup.hashes) == len(values)


def test_a_line_is_what_it_looks_like(tmp_path, salt):
    (tmp_path / "list").write_text("\ufeff" + "\r\n".join([*LINES, "", "a.test"]) + "\n", encoding="utf-8")
    asked = read(tmp_path / "list", salt)
    assert asked.lines == {"text": 4, "url": 2, "host": 4, "image_id": 1, "key": 1, "pair_id": 2, "sha256": 1}
    assert has(asked, salt, "text", "https://a.test/x y", "a red cat", "cat", " spaces stay ")
    assert has(asked, salt, "url", "https://a.test/x")  # both are this one
    assert has(asked, salt, "host", "a.test", "cdn.a.test", "[::1]")
    assert has(asked, salt, "pair_id", "-123", "9223372036854775807", str(int("0a" * 8, 16)))
    assert has(asked, salt, "sha256", "0a" * 32)


def test_formats_and_columns(tmp_path, salt):
    table = pa.table({"n": [1, 2], "text": ["one\ntwo", "three"], "url": ["https://a.test/", None]})
    pq.write_table(table, tmp_path / "a.parquet")
    pacsv.write_csv(table, tmp_path / "a.csv")
    rows = b'{"n": 1, "text": "one\\ntwo", "url": "https://a.test/"}\n{"n": 2, "text": "three"}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows))
    for name in ("a.parquet", "a.csv", "a.jsonl.gz"):
        assert has(read(tmp_path / name, salt, "text"), salt, "text", "one\ntwo", "three")
        assert has(read(tmp_path / name, salt, column="url"), salt, "url", "https://a.test/")
        assert has(read(tmp_path / name, salt, "pair_id", "n"), salt, "pair_id", "1", "2")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"a.test\n"))
    assert has(read(tmp_path / "b.gz", salt), salt, "host", "a.test")
    assert has(read(tmp_path / "b.gz", salt, "text"), salt, "text", "a.test")
    pq.write_table(pa.table({"pair_id": [5]}), tmp_path / "one.parquet")
    assert has(read(tmp_path / "one.parquet", salt), salt, "pair_id", "5")


WRONG = {
    "kind": ("x", "nonsense", None, "--as nonsense: allowed are url, host, image_id, pair_id, sha256, text, key"),
    "host": ("https://a.test/x", "host", None, "'https://a.test/x' is no host: allowed are names of hosts"),
    "pair_id": ("9223372036854775808", "pair_id", None, "is no pair_id: allowed are numbers of 64 bits"),
    "sha256": ("abc", "sha256", None, "'abc' is no sha256: allowed are 64 hex digits"),
    "blank": (" \n\n", None, None, "has no values"),
    "column": ("x", None, "url", "--column: is for Parquet, CSV and JSON lines"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case, tmp_path, salt):
    content, kind, column, said = WRONG[case]
    (tmp_path / "list").write_text(content)
    with pytest.raises(UsageError) as refused:
        read(tmp_path / "list", salt, kind, column)
    assert said in str(refused.value)


def test_files_that_are_refused(tmp_path, salt):
    pq.write_table(pa.table({"a": ["x"], "b": ["y"]}), tmp_path / "two.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    (tmp_path / "latin").write_bytes("größe\n".encode("latin-1"))
    for name, said in {
        "none": "no such file", "two.parquet": "has the columns a, b; give one of them with --column",
        "bad.parquet": "cannot be read", "bad.gz": "cannot be read", "latin": "cannot be read",
    }.items():  # fmt: skip
        with pytest.raises(UsageError, match=said):
            read(tmp_path / name, salt)
