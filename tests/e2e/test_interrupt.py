"""Ctrl-C at some moment of a whole command, which the terminal sends to all of its processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [2.5, 3.5, 4.5, 5, 5.5, 6, 6.5, 7, 8, 10, 13])
def test_an_interrupt_is_one_line_and_leaves_nothing(work, tmp_path, seconds):
    """The faults: stacks of Py4J and of PySpark's workers; a job that was being planned ran to its end first."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "jobs/curate.py", "--recipe", work / "recipe.yaml", "--output", tmp_path / "out"]
    process = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    try:
        process.wait(timeout=seconds)
        pytest.skip("it was done before")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("it was done just then")
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "error: stopped"
    assert [name for name in os.listdir(temporary) if not name.startswith("hsperfdata")] == []
