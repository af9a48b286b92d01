"""`make` on machines that lack something: one line that says what to do."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.odd_names import ODD_NAMES

PROJECT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "bash", "env", "cat", "cksum", "cut", "dirname", "basename", "echo", "grep", "head", "id", "mkdir", "rm", "sed",
         "tail", "tr", "uname", "wc", "ls", "chmod", "ln", "readlink")  # fmt: skip


@pytest.fixture
def path(tmp_path):
    """A PATH with the shell's tools alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    return folder


def fake_python(path, name, version):
    """A Python that fails every program and says its version."""
    (path / name).write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo Python {version} && exit 0\nexit 1\n')
    (path / name).chmod(0o755)


def setup(path, venv, **more):
    """Runs what `make venv` runs; the last line of stderr."""
    env = {"PATH": str(path), "VENV": str(venv), "HOME": str(path), **more}
    done = subprocess.run(
        ["sh", str(PROJECT / "scripts" / "venv.sh"), "demo"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert lines[0] == done.stderr.splitlines()[-1]
    return lines[0]


def test_no_python(path, tmp_path):
    assert "Python 3.11, 3.12 or 3.13 is needed on the PATH, found no python3" in setup(path, tmp_path / "v")


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0"])
def test_a_python_that_does_not_fit(path, tmp_path, version):
    fake_python(path, "python3", version)
    fake_python(path, "python3.12", "a shim of something that is not installed")
    assert f"is needed on the PATH, found Python {version}: install one" in setup(path, tmp_path / "v")


def real_python(path):
    found = sys._base_executable  # that of which this environment was made
    (path / "python3").write_text(f'#!/bin/sh\nexec {found} "$@"\n')
    (path / "python3").chmod(0o755)


def test_no_network(path, tmp_path):
    real_python(path)
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    assert "no network: the packages could not be fetched" in setup(path, tmp_path / "v", **offline)


def test_a_venv_that_cannot_be_made(path, tmp_path):
    real_python(path)
    (tmp_path / "file").write_text("")
    assert "venv" in setup(path, tmp_path / "file" / "v")


def test_a_full_disk(path, tmp_path):
    """pip's own words for it, as the real thing would need a disk of its own."""
    venv = tmp_path / "v"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(
        "#!/bin/sh\ncase \"$*\" in *'pip install'*) echo 'ERROR: Could not install packages due to an OSError: "
        "[Errno 28] No space left on device'; exit 1;; esac\nexit 0\n"
    )
    (venv / "bin" / "python").chmod(0o755)
    assert "the disk is full: free about 3 GB" in setup(path, venv)


def test_help_lists_the_targets():
    said = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for target in ("curate", "test", "ingest", "match", "dedupe", "balance", "shards", "what-if", "lint"):
        assert f"\n  {target} " in said


def options(target: str, **given: str) -> list[str]:
    """The arguments of the Python that a target would run last."""
    values = [f"{name}={value.replace('$', '$$')}" for name, value in given.items()]
    # As a person calls it, though the tests themselves may be run by make, with variables of its own.
    outside = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    said = subprocess.run(
        ["make", "-n", target, *values], cwd=PROJECT, env=outside, capture_output=True, text=True, check=True
    ).stdout
    return shlex.split(said[said.rindex(".venv/bin/python ") :].replace("\\\n", " "))[1:]


# `make` itself takes leading spaces off a value, and has no line ends in one.
@pytest.mark.parametrize("name", [name for name in ODD_NAMES if "\n" not in name and name == name.lstrip()])
def test_odd_names_reach_the_job(name):
    found = options("ingest", INPUT=name, OUTPUT=f"o{name}", RECIPE=f"{name}.yaml")
    assert found == ["jobs/ingest.py", "--recipe", f"{name}.yaml", "--input", name, "--output", f"o{name}"]


def test_several_inputs_or_one_with_spaces(tmp_path):
    (tmp_path / "my demo").mkdir()
    there, module = str(tmp_path / "my demo"), ["-m", "pipeline.train"]
    assert options("train", INPUT=there, RECIPE="my demo.yaml") == [
        *module,
        "--recipe",
        "my demo.yaml",
        "--shards",
        there,
    ]
    assert options("train", INPUT="one two")[-4:] == ["--shards", "one", "--shards", "two"]
    assert options("metadata", INPUT=there)[-2:] == ["--input", there]
    evaluate = options("evaluate", INPUT=there, RECIPE="recipes/my demo.yaml")
    assert evaluate == ["-m", "pipeline.train.evaluate", "--model", "output/train/my demo/model", "--shards", there]
