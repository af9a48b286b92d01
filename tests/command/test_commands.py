"""Every command: its help, its examples, and what jobs, make and the command have in common."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from pipeline.command.main import app, load
from pipeline.command.table import COMMANDS
from pipeline.stages import STAGES

PROJECT = Path(__file__).resolve().parents[2]
WIDTH = 78  # of an example: a terminal of 80 columns shows it on one line
# What a target of `make` runs where it is not the command of its name.
TARGETS = {"metadata": ("entries", "build"), "metadata-check": ("entries", "check"), "tokenizer": ("train",)}
APART = {"help", "venv", "test", "test-slow", "bench", "lint", "clean"}


def paths():
    """The names of every command, those of a group after the group's."""
    for name in COMMANDS:
        yield (name,)
        found = load(name)
        if isinstance(found, TyperGroup):
            for below in found.commands:
                yield name, below


PATHS = list(paths())
LEAVES = [path for path in PATHS if not isinstance(load(*path), TyperGroup)]


def joined(path):
    return " ".join(path)


def help_of(path):
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done.output


def shown(epilog):
    """The commands of a help's end, each on one line."""
    lines = epilog.replace("\\[", "[").split("\n")[1:]
    assert max(map(len, lines)) <= WIDTH, lines
    return "\n".join(line.strip() for line in lines).replace("\\\n", "").split("\n")


def test_the_help_lists_every_command():
    said = help_of(())
    for name, command in COMMANDS.items():
        assert re.search(rf"^│ {name} +{re.escape(command.line.split()[0])} ", said, re.MULTILINE), name
        assert f"─ {command.panel} ─" in said
    assert "metaclip-pipeline curate" in said
    shown(app.info.epilog)


@pytest.mark.parametrize("path", PATHS, ids=joined)
def test_help_says_what_a_command_does(path):
    said, command = help_of(path), load(*path)
    assert command.help.split(".")[0].split()[-1] in said
    if not isinstance(command, TyperGroup):
        assert "Example" in said


@pytest.mark.parametrize("path", LEAVES, ids=joined)
def test_examples_are_of_options_that_there_are(path):
    for line in shown(load(*path).epilog):
        program, *arguments = shlex.split(line)
        if program == "torchrun":
            arguments = arguments[arguments.index("-m") + 2 :]
        else:
            assert program == "metaclip-pipeline"
            assert tuple(arguments[: len(path)]) == path
            arguments = arguments[len(path) :]
        load(*path).make_context(joined(path), arguments)  # parses, and runs nothing


@pytest.mark.parametrize("path", LEAVES, ids=joined)
def test_options_are_shown_with_what_they_take(path):
    """A flag takes nothing, and an option that may stand again one thing at a time."""
    assert not re.findall(r"--\S+ +<(?:bool|list)", help_of(path))


def test_stages_group_their_options():
    for stage in STAGES:
        said = help_of((stage.name,))
        for panel in ("Recipe", "Input and output", "Run"):
            assert f"─ {panel} ─" in said


def test_help_imports_little():
    """No help needs torch or Spark; that of the whole command needs no package but typer and rich."""
    code = f"""
import sys
from typer.testing import CliRunner
from pipeline.command.main import app
def loaded(*names): return [name for name in names if name in sys.modules]
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert not loaded("torch", "pyspark", "pyarrow", "numpy", "pydantic", "yaml"), loaded("pyarrow", "numpy", "pydantic")
for path in {PATHS!r}:
    assert CliRunner().invoke(app, [*path, "--help"]).exit_code == 0, path
    assert not loaded("torch", "transformers", "pyspark"), path
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def jobs():
    """The command that each file of ``jobs/`` runs."""
    found = {}
    for file in PROJECT.glob("jobs/*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        [call] = [node for node in calls if getattr(node.func, "id", "") == "run_job"]
        found[file.stem] = tuple(argument.value for argument in call.args)
    return found


def targets():
    """The targets that ``make help`` lists, and their recipes."""
    said = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  ([a-z-]+) ", said, re.MULTILINE)) - APART


def test_every_job_is_a_command_and_every_stage_has_a_job():
    found = jobs()
    assert set(found.values()) <= set(PATHS)
    assert {(stage.name,) for stage in STAGES} | {("curate",), ("subset",)} <= set(found.values())
    assert len(set(found.values())) == len(found)


def test_every_target_is_a_command():
    assert {TARGETS.get(target, (target,)) for target in targets()} <= set(PATHS)


def test_every_command_is_a_target_or_a_job_or_a_module():
    """What is no target is a file of ``jobs/``, or runs by ``python -m`` too."""
    others = {path[0] for path in PATHS} - {TARGETS.get(target, (target,))[0] for target in targets()}
    for name in others - {path[0] for path in jobs().values()} - {"export"}:  # a group of modules
        file = PROJECT / (COMMANDS[name].declared.split(":")[0].replace(".", "/") + ".py")
        assert '\nif __name__ == "__main__":\n    run(app)\n' in file.read_text(), name


def test_jobs_take_the_options_of_the_command():
    done = subprocess.run(
        [sys.executable, "jobs/match.py", "--recipe", "nope"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    command = subprocess.run(
        [sys.executable, "-m", "pipeline.command", "match", "--recipe", "nope"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == command.returncode == 2
    assert done.stderr == command.stderr != ""
