"""The commands over lists, as they are typed."""

import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.entries.__main__ import app
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "a.txt").write_text("dog\ncat\nSt. Louis\n a\nb  c\n")
    (tmp_path / "b.json").write_text(json.dumps(["cat", "zebra"]))
    return tmp_path


def test_show(lists):
    done = call("show", lists / "a.txt", "--entry", "dog")
    assert done.exit_code == 0
    assert "dog" in done.output
    done = call("show", lists / "a.txt", "--entry", "Inc.", "--entry", "nothing")
    assert done.exit_code == 1
    said = done.output
    assert "'Inc.': not in the list; it cannot match: punctuation that spacing splits" in said
    assert "'nothing': not in the list" in said
    done = call("show", "en", "--containing", "golden", "--most", "2")
    assert done.exit_code == 0
    assert "of which 2 are shown" in done.output


def test_stats_and_diff(lists):
    done = call("stats", lists / "a.txt")
    assert done.exit_code == 0
    assert "of 1 word" in done.output
    done = call("diff", lists / "a.txt", lists / "b.json")
    assert done.exit_code == 0
    said = done.output
    assert "'zebra'" in said
    assert "in both, with another id" in said


def test_lint_and_repair(lists):
    done = call("lint", lists / "a.txt", "--repair", lists / "new.txt")
    assert done.exit_code == 0
    assert "3 of 5 entries cannot match" in done.output
    assert load_list("new", lists / "new.txt").entries.to_pylist() == ["dog", "cat", "St .  Louis", "a", "b c"]
    assert call("lint", lists / "a.txt").exit_code == 1
    assert call("lint", lists / "new.txt").exit_code == 0


@pytest.mark.parametrize("name", ["out.parquet", "out.txt", "out.txt.gz", "out.txt.zst", "out.json"])
def test_merge(lists, name):
    assert call("merge", lists / "b.json", lists / "a.txt", "--output", lists / name).exit_code == 0
    assert load_list("out", lists / name).entries.to_pylist() == [" a", "St. Louis", "b  c", "cat", "dog", "zebra"]
    assert call("merge", lists / "b.json", lists / "a.txt", "--base", "--output", lists / name).exit_code == 0
    assert load_list("out", lists / name).entries.to_pylist() == ["cat", "zebra", " a", "St. Louis", "b  c", "dog"]
    if name.endswith(".parquet"):
        assert pq.read_schema(lists / name).names == ["entry_id", "entry", "source", "score"]


def test_wrong_calls(lists):
    for arguments, message in (
        (("show", "none"), "none: no such file; lists that ship: ar, cs"),
        (("merge", lists / "a.txt", "--output", lists / "x.doc"), "allowed names end in"),
        (("check", "--folder", lists), "no manifest.json there"),
    ):
        found = call(*arguments).exception
        assert isinstance(found, UsageError)
        assert message in str(found)
