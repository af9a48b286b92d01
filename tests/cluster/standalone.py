"""A standalone Spark cluster on loopback: a master and two workers, processes of their own from the pip package."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyspark

PROJECT = Path(__file__).resolve().parents[2]
SPARK = Path(pyspark.__file__).parent
DEPLOY = "org.apache.spark.deploy"
EXECUTOR = "CoarseGrainedExecutorBackend"
BEFORE_IT_IS_UP = 120


def clean(**more: str) -> dict[str, str]:
    """The variables of a machine that knows nothing of this repository."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYSPARK", "SPARK", "PYTEST", "PYTHON"))}
    java = {"JAVA_HOME": _java()}
    return kept | java | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"} | more


def _java() -> str:
    from pipeline.java import use_java

    return str(use_java())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """Workers and executors run in ``folder``, away from the repository, and Python is that of ``environment``."""

    def __init__(self, folder: Path, environment: Path):
        self.folder, self.environment = folder, environment
        self.url = f"spark://127.0.0.1:{free_port()}"
        self.master_page = free_port()
        self._workers: list[subprocess.Popen] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._master = self._start("master", f"{DEPLOY}.master.Master", "--host", "127.0.0.1", "--port",
                                   self.url.split(":")[-1], "--webui-port", str(self.master_page))  # fmt: skip
        self._wait("master", "I have been elected")
        for number in range(2):
            self.start_worker(number)

    def start_worker(self, number: int) -> None:
        """Starts a worker of one core."""
        name = f"worker-{number}-{len(self._workers)}"
        self._workers.append(
            self._start(name, f"{DEPLOY}.worker.Worker", "--host", "127.0.0.1", "--cores", "1", "--memory", "1g",
                        "--webui-port", str(free_port()), "--work-dir", str(self.folder / "work"), self.url)
        )  # fmt: skip
        self._wait(name, "Successfully registered with master")

    def _start(self, name: str, *command: str) -> subprocess.Popen:
        with open(self.folder / f"{name}.log", "w") as log:
            return subprocess.Popen(
                [str(SPARK / "bin" / "spark-class"), *command], stdout=log, stderr=log, env=clean(), cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def _wait(self, name: str, said: str) -> None:
        until = time.monotonic() + BEFORE_IT_IS_UP
        while not re.search(said, (self.folder / f"{name}.log").read_text()):
            assert time.monotonic() < until, (self.folder / f"{name}.log").read_text()[-2000:]
            time.sleep(0.1)

    def executors(self) -> list[int]:
        """The process ids of the executors."""
        return [pid for pid, line in processes() if EXECUTOR in line and self._is_ours(pid)]

    def python_workers(self) -> list[int]:
        """The process ids of the Python workers, not of what they are forked from."""
        python = str(self.environment / "bin" / "python")
        found = {pid: parent_of(pid) for pid, line in processes() if line.startswith(python) and "daemon" in line}
        return [pid for pid, parent in found.items() if parent in found]

    def _is_ours(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/cwd").startswith(str(self.folder))
        except OSError:
            return False

    def kill_worker(self) -> None:
        """Ends a worker with its executor, as a machine that goes, and starts another."""
        gone = self._workers[-1]
        for pid, _ in processes():
            if parent_of(pid) == gone.pid and self._is_ours(pid):
                _kill(pid)
        _kill(gone.pid)
        gone.wait()

    def submit(self, job: str, *arguments: str, log: Path, **conf: str) -> subprocess.Popen:
        """Begins a job whose driver is this repository's."""
        options = {
            "spark.pyspark.python": str(self.environment / "bin" / "python"),
            "spark.pyspark.driver.python": sys.executable,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.executor.memory": "700m",
            "spark.cores.max": "2",
            "spark.deploy.maxExecutorRetries": "-1",
        } | {key.replace("_", "."): value for key, value in conf.items()}
        conf_arguments = [part for key, value in options.items() for part in ("--conf", f"{key}={value}")]
        with open(log, "w") as out:
            return subprocess.Popen(
                [str(SPARK / "bin" / "spark-submit"), "--master", self.url, *conf_arguments,
                 str(PROJECT / "jobs" / f"{job}.py"), *arguments],
                stdout=out, stderr=out, env=clean(PYTHONPATH=str(PROJECT)), cwd=PROJECT, start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        """Ends all processes of the cluster."""
        for process in (*self._workers, self._master):
            for pid, _ in processes():
                if parent_of(pid) == process.pid:
                    _kill(pid)
            if process.poll() is None:
                process.kill()
            process.wait()


def processes() -> list[tuple[int, str]]:
    """All processes with their command lines."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            found.append((int(name), line))
    return found


def parent_of(pid: int) -> int:
    """The parent of a process, 0 of one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return 0


def kill_driver(process: subprocess.Popen) -> None:
    """Ends a driver at once: its JVM and its Python."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
