"""Columns by headers and presets, and configurations that do not fit the files: one line each."""

import gzip

import pytest

from pipeline.errors import UsageError

from .planned import parquet, planned


def test_a_header_names_the_columns(tmp_path):
    (tmp_path / "a.csv").write_text('url,"te,xt",text\n')
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"url\ttext\r\n"))
    splits = planned([tmp_path]).splits
    assert [s.columns for s in splits] == [("url", "te,xt", "text"), ("url", "text")]
    assert [s.data_start for s in splits] == [17, 10]


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (lambda d: d / "none.parquet", {}, "none.parquet: no such file"),
        (lambda d: d / "*.parquet", {}, "no such file"),
        (lambda d: parquet(d / "a.parquet", URL=["u"], text=["t"]), {}, "no column 'url' for url; it has URL, text"),
        (lambda d: parquet(d / "a.parquet", url=["u"], text=[1]), {}, "column 'text' for text is int64; a string"),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], width=[[1]]),
            {},
            "column 'width' for width is list",
        ),
        (lambda d: parquet(d / "a.parquet", url=["u"], text=["t"]), {"preset": "laion"}, "no column 'URL' for url"),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"]),
            {"columns": {"width": "w"}},
            "no column 'w' for width",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"]),
            {"pass_through": ["x"]},
            "no column 'x' in the input",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"]),
            {"pass_through": ["draw"]},
            "'draw' is a column of ours",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], x=[{"a": 1}]),
            {"pass_through": ["x"]},
            "plain values and lists",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], LANGUAGE=["en"]),
            {"pass_through": ["LANGUAGE"]},
            "'LANGUAGE' is a column of ours",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], x=[1]),
            {"pass_through": ["x", "x"]},
            "'x' beside 'x'; a name is allowed once",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], x=[1], X=[2]),
            {"pass_through": ["x", "X"]},
            "'X' beside 'x'; a name is allowed once",
        ),
        (lambda d: parquet(d / "a.parquet", url=["u"], text=["t"]), {"pass_through": [""]}, "'' is no name"),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], **{"meta.score": [1]}),
            {"pass_through": ["meta.score"]},
            "'meta.score': Spark takes dots and backticks",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], **{"`t`": [1]}),
            {"pass_through": ["`t`"]},
            "'`t`': Spark takes dots and backticks",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=["t"], source_uid=[[1]]),
            {},
            "column 'source_uid' for source_uid is list",
        ),
        (
            lambda d: parquet(d / "a.parquet", url=["u"], text=[True]),
            {},
            "column 'text' for text is bool; a string is allowed",
        ),
        (lambda d: parquet(d / "a.dat", url=["u"], text=["t"]), {}, "allowed: parquet, csv, tsv, jsonl"),
    ],
)
def test_wrong_configurations_are_one_line(tmp_path, make, options, said):
    with pytest.raises(UsageError, match=said.replace("*", r"\*")) as error:
        planned([make(tmp_path)], **options)
    assert "\n" not in str(error.value)


def test_no_input_and_a_missing_language_column(tmp_path):
    with pytest.raises(UsageError, match="--input: missing"):
        planned([])
    with pytest.raises(UsageError, match="no column 'language'"):
        planned([parquet(tmp_path / "a.parquet", url=["u"], text=["t"])], language_column=True)


@pytest.mark.parametrize(
    ("preset", "row"), [("cc3m", "a caption\thttp://x/1.jpg\n"), ("cc12m", "http://x/1.jpg\ta caption\n")]
)
def test_presets_without_header(tmp_path, preset, row):
    (tmp_path / "a.tsv").write_text(row)
    assert planned([tmp_path / "a.tsv"], preset=preset).splits[0].data_start == 0
    other = {"cc3m": "cc12m", "cc12m": "cc3m"}[preset]
    with pytest.raises(UsageError, match="the first row has no URL in column"):
        planned([tmp_path / "a.tsv"], preset=other)
    (tmp_path / "h.tsv").write_text("caption\turl\n" + row)
    with pytest.raises(UsageError, match="without header"):
        planned([tmp_path / "h.tsv"], preset=preset)
