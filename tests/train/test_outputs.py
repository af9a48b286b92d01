"""Where commands write: what is there and not theirs, or is read, stops them before any work."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from pipeline.errors import UsageError
from pipeline.train import evaluate, moderate, open_clip, score, search, tag

from .conftest import drawn

FILE_COMMANDS = {
    "evaluate": lambda at, target: (evaluate.app, "--model", at / "model", "--shards", at / "shards", "--output", target),
    "tag": lambda at, target: (
        tag.app, "--model", at / "model", "--entries", at / "entries.txt", "--output", target, at / "red.png"),
    "search": lambda at, target: (
        search.app, "query", "--index", at / "index", "--image", at / "red.png", "--output", target),
}  # fmt: skip
FOLDER_COMMANDS = {
    "open_clip": lambda at, target: (open_clip.app, "--model", at / "model", "--output", target),
    "score": lambda at, target: (score.app, "--model", at / "model", "--shards", at / "shards", "--output", target),
    "moderate": lambda at, target: (
        moderate.app, "--model", at / "model", "--shards", at / "shards", "--concepts", at / "entries.txt",
        "--output", target),
    "search": lambda at, target: (
        search.app, "index", "--model", at / "model", "--shards", at / "shards", "--index", target),
}  # fmt: skip


@pytest.fixture
def at(tmp_path, shard_set):
    """What the commands read; the model is none, so that whatever is not stopped before fails otherwise."""
    shutil.copytree(shard_set, tmp_path / "shards")
    (tmp_path / "model").mkdir()
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.json").write_text(json.dumps({"model": "x", "tars": [], "places": []}))
    (tmp_path / "red.png").write_bytes(drawn("red", "square"))
    (tmp_path / "entries.txt").write_text("red\nblue\n")
    return tmp_path


def content(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stopped(command):
    app, *arguments = command
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(found.exception, UsageError), found.exception
    return str(found.exception)


@pytest.mark.parametrize("command", FILE_COMMANDS)
@pytest.mark.parametrize("what", ["another file", "an input", "a folder", "below a file"])
def test_files_that_are_not_a_commands_are_not_replaced(at, command, what):
    """The fault: each replaced whatever was there."""
    target = {"another file": at / "mine.txt", "a folder": at / "shards", "below a file": at / "red.png" / "x.json",
              "an input": {"tag": at / "red.png", "search": at / "red.png", "evaluate": at / "shards" / "00000.tar"}[command],
              }[what]  # fmt: skip
    (at / "mine.txt").write_text("mine")
    before = content(at)
    assert "--output" in stopped(FILE_COMMANDS[command](at, target))
    assert content(at) == before


@pytest.mark.parametrize("command", FOLDER_COMMANDS)
@pytest.mark.parametrize("what", ["other files", "inputs", "a file"])
def test_folders_that_are_not_a_commands_are_not_written_to(at, command, what):
    """The fault: each wrote among what was there; score took the shards' own tables for columns that are done."""
    inputs = at / "model" if command == "open_clip" else at / "shards"
    (at / "model" / "mine.json").write_text("{}")
    (at / "mine").mkdir()
    (at / "mine" / "00000.parquet").write_bytes(b"mine")
    target = {"other files": at / "mine", "inputs": inputs, "a file": at / "red.png"}[what]
    before = content(at)
    assert "--index" in (said := stopped(FOLDER_COMMANDS[command](at, target))) or "--output" in said
    assert content(at) == before
