"""That nothing is left of a program that is ended, and what its workers find when it starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.local.workers import Workers

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone")

PROGRAM = """
import os, sys, time
import pyarrow as pa
from pipeline.buckets.spark import run_tasks
from pipeline.local.session import LocalSession
from pipeline.local.workers import Workers
session = LocalSession(Workers(2))
def work(item):
    os.write(1, f"task {os.getpid()}\\n".encode())
    time.sleep(60)
    yield pa.record_batch({"n": [item]})
print(session.folder, flush=True)
run_tasks(session, [1, 2], work, pa.schema({"n": pa.int64()})).count()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_program_that_is_ended(number, tmp_path):
    """Workers end in the midst of their tasks, and what is on its way is removed."""
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    ) as program:  # fmt: skip
        folder = Path(program.stdout.readline().strip())
        workers = [int(program.stdout.readline().split()[1]) for _ in range(2)]
        assert folder.is_dir()
        program.send_signal(number)
        program.wait()
        end = time.monotonic() + 30
        while time.monotonic() < end and (folder.exists() or any(map(running, workers))):
            time.sleep(0.05)
        assert not folder.exists()
        assert not any(map(running, workers))
        assert list((tmp_path / "tmp").iterdir()) == []


FORKED = PROGRAM.replace("print(session", "os.fork() or time.sleep(30) or os._exit(0)\nprint(session")


def test_a_forked_process_keeps_nothing_alive(tmp_path):
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", FORKED], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT, start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    ) as program:  # fmt: skip
        folder = Path(program.stdout.readline().strip())
        program.stdout.readline()
        program.kill()
        program.wait()
        end = time.monotonic() + 20
        while time.monotonic() < end and folder.exists():
            time.sleep(0.05)
        left = folder.exists()
        os.killpg(program.pid, signal.SIGKILL)
    assert not left


def test_the_first_local_folder_that_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "good").mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path}/nowhere,{tmp_path}/file,,{tmp_path}/good")
    workers = Workers(1)
    assert Path(workers.folder).parent == tmp_path / "good"
    workers._leave()
    assert list((tmp_path / "good").iterdir()) == []


def test_modules_of_the_current_folder_are_not_the_servers(tmp_path):
    for name in ("pandas", "numpy", "json", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not mine')")
    program = f"import sys; sys.path[:1] = [{str(PROJECT)!r}]\n" + PROGRAM.replace("time.sleep(60)", "").replace(
        "run_tasks(session", "print('counted', run_tasks(session"
    ).replace(".count()", ".count())")
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program/program.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "counted 2" in done.stdout, done.stderr


def test_a_server_that_cannot_start_says_so(tmp_path, monkeypatch):
    (tmp_path / "pandas.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(tmp_path)
    workers = Workers(1)
    with pytest.raises(PipelineError, match="the process that does the tasks ended with code 1"):
        list(workers.run("job", [(0, None)]))
    workers._leave()


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False
