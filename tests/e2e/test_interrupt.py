"""Ctrl-C at some moment of a whole command, which the terminal sends to all of its processes, and other signals."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine import VARIABLE
from pipeline.job import STOPS

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "spark"])
@pytest.mark.parametrize(
    ("signals", "seconds"),
    [
        *(([signal.SIGINT], seconds) for seconds in (1.8, 2.5, 3.5, 4.5, 5, 5.5, 6, 6.5, 7, 8, 10, 13)),
        *(([number] * 3, seconds) for number in STOPS for seconds in (3, 4.7, 6.2)),
    ],
)
def test_an_interrupt_is_one_line_and_leaves_nothing(work, tmp_path, engine, signals, seconds):
    """The faults: stacks of Py4J and of PySpark's workers; a job that was being planned ran to its end first."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "jobs/curate.py", "--recipe", work / "recipe.yaml", "--output", tmp_path / "out"]
    process = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary), VARIABLE: engine},
    )  # fmt: skip
    try:
        process.wait(timeout=seconds)
        pytest.skip("it was done before")
    except subprocess.TimeoutExpired:
        for number in signals:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            time.sleep(0.03)
    _, said = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("it was done just then")
    assert process.returncode == 128 + signals[0], said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "error: stopped"
    assert [name for name in os.listdir(temporary) if not name.startswith("hsperfdata")] == []
