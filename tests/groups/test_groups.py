"""Groups of terms: files, counts against a plain loop over words, intervals, and the tables of an output."""

import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.command.groups import app
from pipeline.errors import UsageError
from pipeline.groups import report as report_module
from pipeline.groups.counts import Counter
from pipeline.groups.figures import ratio, share
from pipeline.groups.report import report
from pipeline.groups.table import tables
from pipeline.groups.terms import Groups, load_groups, plain, shipped_groups
from pipeline.job import run
from pipeline.progress import results

GENDER = Groups("gender", "", {"female": ["woman", "she"], "male": ["man", "young man"]})
WORK = Groups("work", "", {"nurse": ["nurse", "nurses"], "cook": ["cook"]})
WORDS = ["Woman", "woman's", "(man)", "young", "man", "SHE", "nurse", "nurses,", "cook", "cooking", "a", "-", "é", "狗"]


def plainly(texts, groups):
    """Which groups each text names, word by word."""
    found = []
    for text in texts:
        padded = f" {''.join(c if c.isalnum() else ' ' for c in text.lower())} "
        padded = f" {' '.join(padded.split())} "
        found.append([any(f" {term} " in padded for term in terms) for terms in groups.terms.values()])
    return np.array(found, bool).reshape(len(texts), len(groups.terms))


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=20))
def test_counts_are_those_of_a_plain_loop(texts):
    batches = [pa.array(texts[at : at + 7], pa.string()) for at in range(0, len(texts), 7)]
    found = Counter([GENDER, WORK], [("work", "gender")]).count(batches)
    gender, work = plainly(texts, GENDER), plainly(texts, WORK)
    assert found.rows == len(texts)
    assert found.named["gender"].tolist() == gender.sum(0).tolist()
    assert found.together["work", "gender"].tolist() == (work.T.astype(int) @ gender.astype(int)).tolist()


def test_words():
    texts = ["  Bosnia-Herzegovina, É.\n", "", "!?", None]
    assert plain(pa.array(texts)).to_pylist() == ["bosnia herzegovina é", "", "", None]


def test_shipped_files():
    assert shipped_groups() == ["age", "gender", "occupation", "region"]
    for name in shipped_groups():
        found = load_groups(name)
        assert found.source
        texts = pa.array([f"one {terms[0]}, two" for terms in found.terms.values()])
        counted = Counter([found], []).count([texts])
        assert (counted.named[name] >= 1).all()  # a name may be part of another group's, as that of a country


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "a mapping with the keys source and groups"),
        ("groups: [a]", "a mapping with the keys source and groups"),
        ("groups: {a: [b]}\nmore: 1", "a mapping with the keys source and groups"),
        ("groups: {}", "no groups there"),
        ("groups: {a: b}", "groups.a: a list of terms is allowed, found 'b'"),
        ("groups: {a: []}", "groups.a: a list of terms"),
        ("groups: {a: ['-']}", "groups.a: a list of terms"),
        ("groups: {a: [x], b: [X!]}", "the term 'x' is in two groups"),
        ("groups: {a: [x", "not valid YAML"),
    ],
)
def test_files_that_are_wrong_are_refused(tmp_path, text, said):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match="--groups") as error:
        load_groups(str(file))
    assert said in str(error.value)
    with pytest.raises(UsageError, match="shipped groups: age, gender, occupation, region"):
        load_groups("nowhere.yaml")


def test_intervals():
    """Wilson's of 10 in 100 and Katz's of 20 in 100 to 10 in 100, as printed in textbooks."""
    found = share(10, 100)
    assert (round(found["low"], 4), round(found["high"], 4)) == (0.0552, 0.1744)
    assert share(0, 0)["share"] is None
    assert share(0, 50)["low"] == 0.0
    found = ratio(20, 100, 10, 100)
    assert [round(found[key], 2) for key in ("ratio", "low", "high")] == [2.0, 0.99, 4.05]
    assert ratio(0, 10, 1, 10) is None


@pytest.fixture
def output(tmp_path):
    texts = {"pairs": ["a woman", "a man", "a cook, a man", "x"], "curated": ["a woman", "a cook, a man"]}
    for table, found in texts.items():
        (tmp_path / table).mkdir()
        for part in (0, 1):
            rows = pa.table({"text": found[part::2]})
            pq.write_table(rows, tmp_path / table / f"part-{part:05d}.parquet")
    return tmp_path


@pytest.mark.parametrize("rows_here", [1_000, 0])  # here, and in other processes
def test_the_tables_of_an_output(output, monkeypatch, rows_here):
    monkeypatch.setattr(report_module, "ROWS_HERE", rows_here)
    found = report(str(output), [GENDER, WORK], [("work", "gender")])
    assert {table: line["rows"] for table, line in found["tables"].items()} == {"pairs": 4, "curated": 2}
    male = found["tables"]["curated"]["groups"]["gender"]["male"]
    assert (male["count"], male["share"], male["to_pool"]["ratio"]) == (1, 0.5, 1.0)
    together = found["tables"]["pairs"]["together"]["work and gender"]
    assert {one: {other: line["count"] for other, line in of_one.items()} for one, of_one in together.items()} == {
        "cook": {"female": 0, "male": 1}
    }


def test_the_command(output, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["groups", str(output), "--groups", "gender", "--groups", "occupation"])
    with pytest.raises(SystemExit) as ended:
        run(app)
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "gender: texts that name the group, %" in said.out
    assert json.loads((output / "groups.json").read_text())["tables"]["pairs"]["groups"]["gender"]["male"]["count"] == 2
    for arguments, line in [
        (["nowhere"], "nowhere: none of the tables pairs, matched, curated, filtered, final is there"),
        ([str(output), "--together", "age,x"], "--together age,x: two of age, gender, occupation, region"),
    ]:
        monkeypatch.setattr("sys.argv", ["groups", *arguments])
        with pytest.raises(SystemExit) as ended:
            run(app)
        assert ended.value.code == 2
        assert line in capsys.readouterr().err


MINE = """
source: made for this test
groups:
  "[/b] кошки": [Кошка, кошки]
  猫: [猫, 子猫]
  แมว: [แมว]
  قطة: [قطة]
  gatos: [GATO, Ñandú]
"""
NAMED = {
    "[/b] кошки": ["КОШКА!", "две кошки", "кошка-мышь"],
    "猫": ["黒い猫です", "子猫", "三只猫"],
    "แมว": ["ภาพแมวดำ"],
    "قطة": ["قطة سوداء"],
    "gatos": ["un gato.", "el ñandú", "ÑANDÚ"],
}
NOT_NAMED = ["кошкам", "gatos", "قط", "犬", "หมา"]


def test_terms_of_any_script(tmp_path, capsys):
    """Where there are no spaces between words a term is found within them; elsewhere it is a word."""
    file = tmp_path / "mine.yaml"
    file.write_text(MINE, encoding="utf-8")
    groups = load_groups(str(file))
    for name, texts in NAMED.items():
        for text in texts:
            found = Counter([groups], []).count([pa.array([text])]).named["mine"]
            assert dict(zip(groups.terms, found.tolist(), strict=True)) == {one: int(one == name) for one in NAMED}
    assert not Counter([groups], []).count([pa.array(NOT_NAMED)]).named["mine"].any()
    (tmp_path / "pairs").mkdir()
    pq.write_table(
        pa.table({"text": [text for texts in NAMED.values() for text in texts]}), tmp_path / "pairs/a.parquet"
    )
    for table in tables(report(str(tmp_path), [groups, GENDER], [("mine", "gender")])):
        results.print(table)
    assert "[/b] кошки" in capsys.readouterr().out


def test_two_files_of_one_name_are_refused(output, tmp_path, monkeypatch, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text("groups: {x: [y]}")
    files = [str(tmp_path / folder / "mine.yaml") for folder in ("a", "b")]
    monkeypatch.setattr("sys.argv", ["groups", str(output), "--groups", files[0], "--groups", files[1]])
    with pytest.raises(SystemExit):
        run(app)
    assert "--groups: two files are called mine; give files of other names" in capsys.readouterr().err


def test_a_file_of_many_terms_is_read_in_seconds(tmp_path):
    """Terms are cleaned together, and none is held against all others."""
    file = tmp_path / "large.yaml"
    file.write_text("groups:\n  a:\n" + "".join(f"  - term {n}\n" for n in range(3_000)))
    started = time.monotonic()
    assert len(load_groups(str(file)).terms["a"]) == 3_000
    assert time.monotonic() - started < 10
