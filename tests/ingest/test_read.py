"""Reading a split: every row once, kept or with its reason."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.ingest.plan import plan
from pipeline.ingest.read import read_split
from pipeline.recipe import Input

TEXTS = [
    (b"http://x/1", b"good"),
    (None, b"no url"),
    (b"", b"no url"),
    (b"http://x/2", None),
    (b"http://x/3", b" \t\n "),
    (b"http://x/4", b"nul \0 here"),
    (b"http://x/5\0", b"nul in url"),
    (b"http://x/6", b"\xff\xfe not utf-8"),
    (b"http://x/\xff", b"url not utf-8"),
    (b"no url at all", b"text"),
    (b"data:image/png;base64,x", b"text"),
    (b"http://x/7", b"x" * 10_000_000),
    (b"http://x/8", "ünïcode 猫".encode()),
]
REASONS = [
    None, "missing_url", "missing_url", "empty_text", "empty_text", "nul", "nul", "invalid_utf8", "invalid_utf8",
    "bad_url", "bad_url", "text_too_long", None,
]  # fmt: skip

COUNTED = ("rows_read", "malformed_row", "unclosed_quote", "not_text", "truncated", "unreadable")


def read(path, max_text_bytes=1 << 20, multiline=True, language_column=False, **options):
    given = Input(paths=[str(path)], max_text_bytes=max_text_bytes, multiline=multiline, **options)
    found = plan(given, language_column)
    batches = [b for split in found.splits for b in read_split(split, found, given)]
    rows = pa.Table.from_batches(batches).filter(pc.field("dropped").is_null() | (pc.field("dropped") != "values_lost"))
    rows = rows.to_pylist()
    data = [r for r in rows if r["dropped"] not in COUNTED]
    total = {}
    for r in rows:
        if r["dropped"] in COUNTED:
            total[r["dropped"]] = total.get(r["dropped"], 0) + r["copies"]
    assert total.pop("rows_read") == len(data) + sum(total.values())
    return data, total


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (" http://x/1 ", "http://x/1"), ("\t\r\nhttp://x/1\x1f\n", "http://x/1"), ("http://x/a b ", "http://x/a b"), ("//x/1", "https://x/1"),
        (" //x/1", "https://x/1"), ("http://x/ü", "http://x/ü"), ("http://x/\u00a0", "http://x/\u00a0"), ("http://x//y", "http://x//y"),
        ("///x", "https:///x"), ("//", None), ("/x", None), ("   ", None), ("// x", None),
    ],
)  # fmt: skip
def test_urls_are_trimmed_and_those_without_scheme_are_https(tmp_path, given, want):
    pq.write_table(pa.table({"url": [given, "http://x/0"], "text": ["a", "b"]}), tmp_path / "a.parquet")
    first, second = read(tmp_path / "a.parquet")[0]
    assert (first["dropped"], first["url"] if want else None) == (None if want else "bad_url", want)
    assert second["url"] == "http://x/0"


@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.large_binary(), pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.binary())]
)
def test_reasons_of_parquet_rows(tmp_path, kind):
    urls, texts = (pa.array(column, pa.binary()) for column in zip(*TEXTS, strict=True))

    def of_kind(column):
        if pa.types.is_dictionary(kind):
            return column.dictionary_encode()
        if kind in (pa.string(), pa.large_string()):  # unchecked, as a careless writer does it
            wide = column.cast(pa.large_binary()) if kind == pa.large_string() else column
            return pa.Array.from_buffers(kind, len(wide), wide.buffers())
        return column.cast(kind)

    pq.write_table(pa.table({"url": of_kind(urls), "text": of_kind(texts)}), tmp_path / "a.parquet", row_group_size=4)
    rows, counted = read(tmp_path / "a.parquet")
    assert [r["dropped"] for r in rows] == REASONS
    assert counted == {}
    assert rows[0]["url"] == "http://x/1"
    assert rows[-1]["text"] == "ünïcode 猫"


def test_language_column_is_checked(tmp_path):
    given = ["en", "zh-Hant", "no", "", None, "English", "e", "pt_BR", "EN", "be-x-old", "sr_Latn_RS", "en.UTF-8"]
    table = pa.table({"url": ["http://x/1"] * len(given), "text": ["t"] * len(given), "language": given})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read(tmp_path / "a.parquet", language_column=True)
    assert [r["dropped"] for r in rows] == [None] * 5 + ["bad_language"] * 2 + [None] * 4 + ["bad_language"]
    assert rows[3]["language"] is None


def test_numbers_and_passed_columns(tmp_path):
    table = pa.table(
        {
            "URL": ["http://x/1"] * 4,
            "TEXT": ["t"] * 4,
            "WIDTH": [1.0, None, float("nan"), 3e12],
            "HEIGHT": pa.array([1, 2, 3, -4], pa.int64()),
            "SAMPLE_ID": pa.array([5, 6, 7, 8], pa.int64()),
            "similarity": [0.1, 0.2, 0.3, None],
            "tag": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read(tmp_path / "a.parquet", preset="laion", pass_through=["similarity", "tag"])
    assert [r["width"] for r in rows] == [1, None, None, None]
    assert [r["height"] for r in rows] == [1, 2, 3, None]
    assert [r["source_uid"] for r in rows] == ["5", "6", "7", "8"]
    assert [r["similarity"] for r in rows] == [0.1, 0.2, 0.3, None]
    assert [r["tag"] for r in rows] == ["a", "b", None, "a"]


def test_files_may_differ_in_types_and_columns(tmp_path):
    pq.write_table(pa.table({"url": ["http://x/1"], "text": ["t"], "width": [7], "score": [1]}), tmp_path / "a.parquet")
    pq.write_table(
        pa.table({"url": ["http://x/2"], "text": ["t"], "width": ["8.0"], "score": ["x"]}), tmp_path / "b.parquet"
    )
    pq.write_table(pa.table({"text": ["t"], "url": ["http://x/3"]}), tmp_path / "c.parquet")
    rows, _ = read(tmp_path, pass_through=["score"])
    assert [(r["width"], r["score"]) for r in rows] == [(7, "1"), (8, "x"), (None, None)]


def test_text_formats_agree(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'text,url,width\n"a, ""b""\nc",http://x/1,7\nbad row\nNA,http://x/2,\n')
    (tmp_path / "a.tsv").write_bytes(b'text\turl\twidth\n"a\thttp://x/1\t7\nbad row\nNA\thttp://x/2\t\n')
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text":"a","url":"http://x/1","width":7}\nbad\n{"text":"NA","url":"http://x/2"}\n'
    )
    for name, first in [("a.csv", 'a, "b"\nc'), ("a.tsv", '"a'), ("a.jsonl", "a")]:
        rows, counted = read(tmp_path / name)
        assert [(r["text"], r["url"], r["width"]) for r in rows] == [
            (first, "http://x/1", 7),
            ("NA", "http://x/2", None),
        ]
        assert counted == {"malformed_row": 1}


def test_damage_in_the_middle_of_a_parquet_file(tmp_path):
    table = pa.table({"url": [f"http://x/{i}" for i in range(4000)], "text": [f"text {i * 7919}" for i in range(4000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1000, compression="zstd")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    start = pq.read_metadata(tmp_path / "a.parquet").row_group(2).column(1).data_page_offset
    content[start : start + 400] = b"\xff" * 400
    (tmp_path / "a.parquet").write_bytes(content)
    rows, counted = read(tmp_path / "a.parquet")
    assert counted == {"unreadable": 1000}
    assert len(rows) == 3000


ROWS = "url,text\nhttp://x/1,größe 猫😀\nhttp://x/2,b\n"


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-8-sig"])
def test_text_files_by_their_byte_order_mark(tmp_path, encoding, pack):
    json_lines = "".join(json.dumps({"url": u, "text": t}) + "\n" for u, t in csv.reader(ROWS.splitlines()[1:]))
    for name, content in [("a.csv", ROWS), ("a.tsv", ROWS.replace(",", "\t")), ("a.jsonl", json_lines)]:
        mark = "\ufeff" if encoding in ("utf-16-be", "utf-16-le") else ""
        file = tmp_path / (name if pack is not gzip.compress else f"{name}.gz")
        file.write_bytes(pack((mark + content).encode(encoding)))
        rows, counted = read(file)
        assert [(r["url"], r["text"], r["dropped"]) for r in rows] == [
            ("http://x/1", "größe 猫😀", None),
            ("http://x/2", "b", None),
        ]
        assert counted == {}


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.jsonl.gz"])
def test_utf32_is_named(tmp_path, name):
    content = ROWS.encode("utf-32")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(UsageError, match=rf"{name}: is in UTF-32; allowed: UTF-8, or UTF-16"):
        read(tmp_path / name)


def test_utf16_without_a_header(tmp_path):
    (tmp_path / "a.tsv").write_text("a caption\thttp://x/1\n", encoding="utf-16")
    rows, _ = read(tmp_path / "a.tsv", preset="cc3m")
    assert [(r["url"], r["text"]) for r in rows] == [("http://x/1", "a caption")]


def test_halves_of_surrogate_pairs_are_invalid_utf8(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"url": "http://x/1", "text": "a \\ud800"}\n{"url": "http://x/2", "text": "b", "page_url": "\\udfff"}\n'
        b'\xef\xbb\xbf{"url": "http://x/3", "text": "c", "width": NaN}\n{"url": "http://x/4", "text": 5}\n'
    )
    rows, counted = read(tmp_path / "a.jsonl")
    assert [(r["url"], r["dropped"]) for r in rows] == [
        ("http://x/1", "invalid_utf8"), ("http://x/2", None), ("http://x/3", None),
    ]  # fmt: skip
    assert counted == {"not_text": 1}


def test_an_unclosed_quote_in_a_file_of_one_task_or_of_many(tmp_path):
    lines = [f"http://x/{i},text {i}\n" for i in range(3000)]
    lines[7] = 'http://x/7,"text 7\n'
    (tmp_path / "a.csv").write_text("url,text\n" + "".join(lines))
    for multiline in (True, False):
        rows, counted = read(tmp_path / "a.csv", multiline=multiline)
        assert counted == {"unclosed_quote": 1}
        assert len(rows) == 2999


def test_names_that_are_there_twice(tmp_path):
    (tmp_path / "a.csv").write_text("url,text,x,x\nhttp://x/1,t,1,2\n")
    rows, _ = read(tmp_path / "a.csv")
    assert rows[0]["text"] == "t"
    with pytest.raises(UsageError, match=r"a.csv: there are 2 columns 'x'; one is allowed"):
        read(tmp_path / "a.csv", pass_through=["x"])
    names = ["url", "text", "URL", "x", "x"]
    values = [pa.array([value]) for value in ("http://x/1", "t", "no", 1, 2)]
    pq.write_table(pa.Table.from_arrays(values, names), tmp_path / "b.parquet")
    rows, _ = read(tmp_path / "b.parquet")
    assert rows[0]["url"] == "http://x/1"
    with pytest.raises(UsageError, match=r"b.parquet: there are 2 columns 'x'"):
        read(tmp_path / "b.parquet", pass_through=["x"])


def test_names_with_anything_in_them(tmp_path):
    names = ["a b", "größe", "a,b;{}()\n\t=", "x"]
    table = pa.table({"url": ["http://x/1"], "text": ["t"]} | {name: [i] for i, name in enumerate(names)})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read(tmp_path / "a.parquet", pass_through=names)
    assert [rows[0][name] for name in names] == list(range(len(names)))


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_a_malformed_row_that_is_not_utf_8_is_one_row(tmp_path, ending):
    """pyarrow cannot hand such a row on, and failed the block; the cells beside it keep their bytes."""
    between = "," if ending == "csv" else "\t"
    rows = [
        ["url", "text"],
        ["http://a", "größe"],
        ["http://b", "a\udcff", "more"],
        ["http://c", "\udcfe"],
        ["http://d", "d"],
    ]
    content = "".join(between.join(row) + "\n" for row in rows).encode("utf-8", "surrogateescape")
    (tmp_path / f"a.{ending}").write_bytes(content)
    options = Input(paths=[str(tmp_path)])
    found = plan(options, False)
    read = pa.Table.from_batches([batch for split in found.splits for batch in read_split(split, found, options)])
    assert [(row["text"], row["dropped"]) for row in read.to_pylist()[:3]] == [
        ("größe", None), (None, "invalid_utf8"), ("d", None),
    ]  # fmt: skip
    assert {row["dropped"]: row["copies"] for row in read.to_pylist()[3:]} == {"malformed_row": 1, "rows_read": 4}
