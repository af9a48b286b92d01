"""Real jobs in processes of their own: spark-submit on one and two cores and on a standalone cluster, kills, exit codes."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyspark
import pytest

from tests.e2e.conftest import digests
from tests.pool import write_pool, write_recipe

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SPARK = Path(pyspark.__file__).parent


def environment(**more: str) -> dict[str, str]:
    """A user's shell after `source .venv/bin/activate`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK", "PYTEST"))}
    return kept | {"PATH": f"{BIN}:{kept['PATH']}", "SPARK_LOCAL_IP": "127.0.0.1"} | more


def submit(job: str, *arguments: str, master: str | None = None, **more: str) -> subprocess.CompletedProcess:
    start = [str(BIN / "spark-submit"), *(["--master", master] if master else [])] if master else [sys.executable]
    command = [*start, str(PROJECT / "jobs" / f"{job}.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment(**more), cwd=PROJECT, check=False, timeout=300
    )


def failed(done: subprocess.CompletedProcess, code: int) -> str:
    """The one line of a failed job; no traceback of either language."""
    assert done.returncode == code, done.stderr
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert not re.search(r"^\s+at [\w.$]+\(", said, re.MULTILINE)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said
    return lines[0]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The pool in one file, curated on one core."""
    folder = tmp_path_factory.mktemp("submit")
    recipe = write_recipe(folder, write_pool(folder / "one"))
    done = submit("curate", "--recipe", str(recipe), "--output", str(folder / "base"), master="local[1]")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_same_bytes_from_64_files_in_another_order_on_two_cores(base):
    pool = write_pool(base / "many", files=64, shuffle=5)
    done = submit(
        "curate",
        "--recipe",
        str(base / "recipe.yaml"),
        "--input",
        str(pool),
        "--output",
        str(base / "two"),
        master="local[2]",
    )
    assert done.returncode == 0, done.stderr
    found = digests(base / "two", "curated", "shards")
    assert len(found) > 10
    assert found == digests(base / "base", "curated", "shards")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster(tmp_path):
    """A standalone cluster of one worker with two cores on loopback; its URL."""
    port, web, worker_web = free_port(), free_port(), free_port()
    java = {"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}
    url = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    commands = [
        [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(web)],
        [f"{deploy}.worker.Worker", "--host", "127.0.0.1", "--cores", "2", "--memory", "2g", "--webui-port", str(worker_web),
         "--work-dir", str(tmp_path / "work"), url],
    ]  # fmt: skip
    processes = []
    for command in commands:
        with open(tmp_path / f"{len(processes)}.log", "w") as log:
            processes.append(
                subprocess.Popen(
                    [str(SPARK / "bin" / "spark-class"), *command], stdout=log, stderr=log, env=environment(**java)
                )
            )
        until = time.monotonic() + 60
        while time.monotonic() < until and not re.search(
            "Registering worker|I have been elected", (tmp_path / "0.log").read_text()
        ):
            time.sleep(0.2)
    yield url
    for process in reversed(processes):
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_same_bytes_on_a_standalone_cluster(base, cluster):
    done = submit(
        "curate", "--recipe", str(base / "recipe.yaml"), "--output", str(base / "cluster"),
        master=cluster, PYSPARK_PYTHON=sys.executable,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert digests(base / "cluster", "curated", "shards") == digests(base / "base", "curated", "shards")


@pytest.mark.slow
def test_killed_at_any_point_and_run_again(base):
    """kill -9 of the driver with its JVM and workers, ten times, each a little later; then to the end."""
    output, rng = base / "killed", random.Random(0)
    command = [
        sys.executable,
        str(PROJECT / "jobs" / "curate.py"),
        "--recipe",
        str(base / "recipe.yaml"),
        "--output",
        str(output),
    ]
    for attempt in range(10):
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(4 + 1.5 * attempt * rng.random())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=PROJECT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert digests(output, "curated", "shards") == digests(base / "base", "curated", "shards")


def test_an_embedded_session_listens_on_loopback_alone(tmp_path):
    """Every socket that the driver, its JVM and its workers listen on is bound to a loopback address."""
    code = (
        "import os, time\nfrom pipeline.session import open_session\n"
        "s = open_session('local[2]')\n"
        "s.range(9).mapInArrow(lambda b: b, 'id bigint').count()\nprint('up', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == b"up\n"
        session = os.getsid(process.pid)
        pids = [p for p in os.listdir("/proc") if p.isdigit() and _session_of(int(p)) == session]
        inodes = {link for pid in pids for link in _socket_inodes(pid)}
        listening = [
            line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        ]
        addresses = [row[1].split(":")[0] for row in listening if row[3] == "0A" and row[9] in inodes]
        assert len(addresses) >= 2
        assert set(addresses) <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _socket_inodes(pid: str) -> list[str]:
    found = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            found += re.findall(r"socket:\[(\d+)\]", target)
    except OSError:
        pass
    return found


if not Path("/proc/net/tcp").exists():
    del test_an_embedded_session_listens_on_loopback_alone


def test_wrong_usage_is_one_line_and_exit_code_2(base, tmp_path):
    recipe = str(base / "recipe.yaml")
    for arguments, said in [
        (["--recipe", "metaclip-400"], "bundled recipes"),
        (["--recipe", recipe, "--set", "balance.mod=cap"], "balance.mod: no such key"),
        (["--recipe", recipe, "--input", str(tmp_path / "none")], "none: no such file"),
        (["--recipe", recipe, "--colour", "red"], "--colour"),
        (
            ["--recipe", "metaclip-400m", "--input", str(base / "one"), "--set", "entries.en=no.txt"],
            "entries.en: no.txt not found",
        ),
        (
            ["--recipe", "metaclip2-worldwide", "--input", str(base / "one"), "--set", "entries=none"],
            "no entry list in none",
        ),
    ]:
        assert said in failed(submit("curate", *arguments), 2)
    assert "no finished matched; run the stage match first" in failed(
        submit("balance", "--recipe", recipe, "--output", str(tmp_path / "o")), 2
    )
    assert "--dead-links" in failed(submit("balance", "--recipe", recipe, "--what-if", "--dead-links", "2"), 2)


def test_a_failure_is_one_line_and_exit_code_1(base, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(b"PAR1")
    said = failed(
        submit(
            "curate",
            "--recipe",
            str(base / "recipe.yaml"),
            "--input",
            str(tmp_path / "in"),
            "--output",
            str(tmp_path / "out"),
        ),
        1,
    )
    assert "no file can be read" in said


def test_what_if_shows_a_table_and_a_plot(base, tmp_path):
    done = submit(
        "balance",
        "--recipe",
        str(base / "recipe.yaml"),
        "--input",
        str(base / "base"),
        "--output",
        str(tmp_path / "w"),
        "--what-if",
        "--dead-links",
        "0.25",
    )
    assert done.returncode == 0, done.stderr
    assert "less 25% dead links" in done.stdout
    assert (tmp_path / "w" / "what-if.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "w" / "curated").exists()
