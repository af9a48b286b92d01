"""How a session starts: in the background, with nothing left behind, and with what the user gave."""

import itertools
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.shipping import packed

PROJECT = Path(__file__).resolve().parents[1]
EARLY = "from pipeline.session import open_session, start_session\nfrom pipeline.job import fail\nstart_session()\n"
LATE = EARLY.removesuffix("start_session()\n")


def run(code, tmp_path, **environment):
    """Runs code in a process whose temporary files go to a folder of their own."""
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "TMPDIR": str(temporary), **environment},
    )  # fmt: skip


def test_a_session_that_was_started_early_is_the_one_that_is_opened(tmp_path):
    code = EARLY + (
        'session = open_session("local[1]")\n'
        "print(session.sparkContext.master, open_session() is not None)\n"
        "import signal\n"
        "print(signal.getsignal(signal.SIGINT).__module__)\n"  # of who goes on after an interrupt
        'print(session.range(0, 4, 1, 2).mapInArrow(lambda batches: batches, "id bigint").toArrow().num_rows)\n'
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "local[1] True\npyspark.core.context\n4\n", "")


@pytest.mark.parametrize("seconds", [0, 0.2, 0.5, 1, 2, 5])
def test_an_error_while_it_starts_ends_at_once_and_leaves_no_jvm(tmp_path, seconds):
    """The JVM inherits stdout and stderr, so that ``run`` returns when it, too, is gone."""
    done = run(f"{EARLY}import time; time.sleep({seconds})\nfail('wrong', 2)\n", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: wrong\n")
    assert [name for name in os.listdir(tmp_path / "temporary") if not name.startswith("hsperfdata")] == []


@pytest.mark.parametrize("seconds", [0.2, 0.5])
def test_an_interrupt_while_it_is_waited_for_leaves_nothing(tmp_path, seconds):
    code = EARLY + (
        "import os, signal, threading\n"
        f"threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    open_session()\n"
        "except KeyboardInterrupt:\n    fail('stopped', 1)\n"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: stopped\n")
    assert [name for name in os.listdir(tmp_path / "temporary") if not name.startswith("hsperfdata")] == []


def test_an_interrupt_ends_a_job(tmp_path):
    """The fault: it ended as a job that failed, with a name of Spark's and a file of details."""
    code = EARLY + (
        "import os, pathlib, signal, threading, time\n"
        "from pipeline.failure import in_words\n"
        "from pipeline.job import new_app, run\n"
        f"begun, ended = (pathlib.Path({str(tmp_path)!r}, name) for name in ('begun', 'ended'))\n"
        "def slow(batches):\n"
        "    import time\n"
        "    begun.touch()\n    time.sleep(60)\n    ended.touch()\n    yield from batches\n"
        "def interrupt():\n"
        "    while not begun.exists():\n        time.sleep(0.05)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "app = new_app()\n"
        "@app.command()\n"
        "def work():\n"
        "    session = open_session('local[1]')\n"
        "    threading.Thread(target=interrupt, daemon=True).start()\n"
        "    with in_words('out', 'the work'):\n"
        "        session.range(0, 1, 1, 1).mapInArrow(slow, 'id bigint').toArrow()\n"
        "run(app)\n"
    )
    done = run(code, tmp_path)
    assert not (tmp_path / "ended").exists()
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: stopped\n")
    assert "metaclip-failure" not in str(os.listdir(tmp_path / "temporary"))


REFUSED = {
    "spark.local.dir /proc/nowhere": "it can write to no folder of SPARK_LOCAL_DIRS, spark.local.dir or TMPDIR",
    "spark.task.cpus 4096": "the number of cpus per task = 4096",
    "spark.serializer com.Nope": "no Java class com.Nope",
    "spark.extraListeners com.Nope": "no Java class com.Nope",
}


@pytest.mark.parametrize(
    ("setting", "early"),
    [
        pytest.param(setting, early, marks=[pytest.mark.slow] if number else [])
        for number, (setting, early) in enumerate(itertools.product(REFUSED, (EARLY, LATE)))
    ],
)
def test_a_setting_that_spark_does_not_take_is_one_line(tmp_path, setting, early):
    """The fault: the stack of Java, and that it had run out of memory."""
    (tmp_path / "spark-defaults.conf").write_text(setting)
    code = early + (
        "from pipeline.job import new_app, run\n"
        "app = new_app()\n"
        "@app.command()\n"
        "def work():\n    open_session('local[1]')\n"
        "run(app)\n"
    )
    done = run(code, tmp_path, SPARK_CONF_DIR=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: Spark does not start: ")
    assert REFUSED[setting] in done.stderr
    assert "metaclip-failure" not in str(os.listdir(tmp_path / "temporary"))


@pytest.mark.slow
def test_folders_of_the_environment_that_cannot_be_written_are_named(tmp_path):
    done = run(f"{EARLY}open_session()", tmp_path, SPARK_LOCAL_DIRS="/proc/nowhere")
    assert done.stderr.endswith("it can write to no folder of SPARK_LOCAL_DIRS, spark.local.dir or TMPDIR\n")


def test_workers_are_forked_with_what_tasks_need(tmp_path):
    code = EARLY + (
        "import sys\n"
        "def there(batches):\n"
        "    import sys\n"
        "    wanted = ('numba', 'pandas', 'pipeline.match.fast', 'pipeline.session')\n"
        "    before = [name in sys.modules for name in wanted]\n"
        "    import pyarrow as pa\n"
        "    list(batches)\n"
        "    yield pa.record_batch({'there': pa.array([str(before)])})\n"
        "session = open_session('local[1]')\n"
        "print(session.range(0, 1, 1, 1).mapInArrow(there, 'there string').toArrow()['there'].to_pylist())\n"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['[True, True, True, False]']\n", "")


def test_what_goes_wrong_is_raised_where_the_session_is_opened(tmp_path):
    code = (
        "from pipeline import errors, java, session\n"
        "java.machine_java_home = java.bundled_java_home = lambda: None\n"
        "session.start_session()\n"
        "try:\n    session.open_session()\nexcept errors.UsageError as error:\n    print(error)\n"
    )
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("no Java 17 or newer found")


@pytest.mark.slow
def test_options_given_to_spark_submit_stand(tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "from pipeline.session import open_session, start_session\nstart_session()\nsession = open_session()\n"
        "given = session.sparkContext.getConf().get\n"
        "print(given('spark.driver.extraJavaOptions'))\n"
        "print(given('spark.driver.memory'), given('spark.app.name'), given('spark.python.daemon.module'))\n"
        "print(given('spark.ui.enabled'), session.range(0, 4, 1, 2).mapInArrow(lambda b: b, 'id bigint').count())\n"
    )
    command = [sys.executable, "-m", "pyspark.find_spark_home"]
    home = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    given = ["--driver-java-options", "-Dmine=1", "--driver-memory", "700m", "--name", "mine", "--master", "local[1]"]
    done = subprocess.run(
        [f"{home}/bin/spark-submit", *given, str(job)], cwd=PROJECT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    options, *rest = done.stdout.splitlines()
    assert "-Dmine=1" in options.split()
    assert "-XX:" not in options.replace("-XX:+IgnoreUnrecognizedVMOptions", "")  # that is Spark's
    assert rest == ["700m mine None", "false 4"]


def test_what_travels_to_executors(tmp_path):
    """An importable package, without what only the driver reads."""
    package = tmp_path / "pipeline"
    for name in ("__init__.py", "match/fast.py", "match/__pycache__/fast.pyc", "shipped/metadata/en.parquet"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    with zipfile.ZipFile(packed(package, tmp_path)) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
    assert held == {"pipeline/__init__.py", "pipeline/match/fast.py"}
