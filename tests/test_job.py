import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from pipeline.errors import PipelineError, UsageError
from pipeline.job import STOPS, cause, new_app, run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("a: b"), 2),
        (PipelineError("a: b"), 1),
        (None, 0),
        (KeyboardInterrupt(), None),
        (ZeroDivisionError("a: b"), 1),
    ],
)
def test_exit_codes(capsys, monkeypatch, error, code):
    app = new_app()

    @app.command()
    def main() -> None:
        if error:
            raise error

    monkeypatch.setattr("sys.argv", ["job"])
    with pytest.raises(SystemExit) as ended:
        run(app)
    said = capsys.readouterr().err
    assert ended.value.code == code if code is not None else ended.value.code not in (0, None)
    if code:
        assert said.startswith("error: ")
        assert "a: b" in said
        assert said.count("\n") == 1


def test_a_wrong_option_is_one_line(capsys, monkeypatch):
    app = new_app()

    @app.command()
    def main(n: int = 1) -> None:
        typer.echo(n)

    for arguments in (["--n", "x"], ["--nn"], ["y"]):
        monkeypatch.setattr("sys.argv", ["job", *arguments])
        with pytest.raises(SystemExit) as ended:
            run(app)
        assert ended.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_current_folder_that_is_gone_is_one_line(tmp_path):
    """The fault: that there was no Java."""
    job = Path(__file__).resolve().parents[1] / "jobs" / "curate.py"
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        f"import os, sys; os.rmdir({str(gone)!r}); os.execv(sys.executable, [sys.executable, {str(job)!r}, '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=gone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the current folder is gone; change to one that is there\n"


def test_an_interrupt_is_told(capsys, monkeypatch):
    app = new_app()

    @app.command()
    def main() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["job"])
    with pytest.raises(SystemExit) as ended:
        run(app)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: stopped\n"


# As a terminal starts it: under nohup SIGHUP is ignored, and would stay so.
COMMAND = """
import signal, tempfile, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pipeline.job import new_app, run
app = new_app()
@app.command()
def main():
    with tempfile.TemporaryDirectory():
        print("there", flush=True)
        try:
            time.sleep(60)
        finally:
            time.sleep(0.3)
run(app)
"""


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize("times", [1, 4])
def test_signals_end_a_command_once_and_leave_nothing(tmp_path, number, times):
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "there\n"
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.02)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, "error: stopped\n")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    ignoring = COMMAND.replace("SIG_DFL", "SIG_IGN").replace("sleep(60)", "sleep(1)")
    with subprocess.Popen([sys.executable, "-c", ignoring], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 0


def test_the_cause_of_a_failed_task(spark):
    def fail(batches):
        raise OSError(f"image store {os.sep} is gone")
        yield

    with pytest.raises(Exception, match="gone") as error:
        spark.range(3).mapInArrow(fail, "id bigint").count()
    said = cause(error.value)
    assert said == f"OSError: image store {os.sep} is gone"
    assert "\n" not in said


def test_the_cause_of_what_failed_in_java(spark):
    with pytest.raises(Exception, match="empty string") as error:
        spark.sparkContext._jvm.org.apache.hadoop.fs.Path("")
    said = cause(error.value)
    assert "Py4J" not in said
    assert "java." not in said
    assert "\n" not in said
    assert "Can not create a Path from an empty string" in said


def test_relative_paths_are_made_absolute_for_tasks_elsewhere(tmp_path, monkeypatch):
    from pipeline import storage

    monkeypatch.chdir(tmp_path)
    assert storage.absolute("a/b") == f"{tmp_path}/a/b"
    assert storage.spark_url("a b") == f"file://{tmp_path}/a b"
    assert storage.absolute("s3a://bucket/x") == storage.spark_url("s3a://bucket/x") == "s3a://bucket/x"
