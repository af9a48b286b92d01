"""What a command takes, with all processes that it starts: seconds, core-seconds and memory. Linux alone.

The measuring process is made the one that orphans fall to, so that it waits for all of the tree, a JVM that outlives
the Python which started it among them; what the kernel then accounts to each child is exact. Processes whose parent
ignores their end (PySpark's daemon does) are in no such account: their times are those of the last sample. Memory is
the largest sum of proportional set sizes (PSS) over the tree that a sample met: pages shared by fork count once.
Samples are taken as often as a twentieth of one core allows.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pipeline.errors import PipelineError, UsageError

PROJECT = Path(__file__).resolve().parents[1]
LEAST_WAIT, WAIT_RATIO = 0.05, 20  # seconds between samples; times what the last one took
_BECOME_SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Taken:
    """Seconds until the command ended, core-seconds of its tree until all had ended, the tree's largest PSS."""

    seconds: float
    core_seconds: float
    peak_bytes: int


def measured(command: list[str], environment: dict[str, str] | None = None) -> Taken:
    """Runs a command in the project's folder and says what it took; this process may have no other children.

    Raises ``PipelineError`` with what the command said last where it fails.
    """
    if psutil.Process().children():
        raise PipelineError("a command is measured by a process that has no other children")
    if sys.platform != "linux" or ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0) != 0:
        raise UsageError("a tree of processes is measured on Linux alone")
    surroundings = os.environ | {"PYTHONPATH": str(PROJECT)} | (environment or {})
    tree = _Tree()
    os.sync()
    with tempfile.TemporaryFile() as said:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=PROJECT, env=surroundings)
        tree.watcher.start()
        seconds, reaped = 0.0, {}
        with contextlib.suppress(ChildProcessError):  # raised where none is left
            while True:
                pid, status, usage = os.wait4(-1, 0)
                reaped[pid] = usage.ru_utime + usage.ru_stime
                if pid == process.pid:
                    seconds = time.monotonic() - started
                    process.returncode = os.waitstatus_to_exitcode(status)
        tree.ended.set()
        tree.watcher.join()
        if process.returncode != 0:
            said.seek(0)
            last = said.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise PipelineError(f"{' '.join(command[:4])} … ended with {process.returncode}: {last[0]}")
    lost = sum(times for pid, times in tree.unaccounted.items() if pid not in reaped)
    return Taken(seconds, sum(reaped.values()) + lost, tree.peak_bytes)


@dataclass
class _Tree:
    """Samples of all processes under this one, taken in a thread."""

    ended: threading.Event = field(default_factory=threading.Event)
    peak_bytes: int = 0
    unaccounted: dict[int, float] = field(default_factory=dict)
    watcher: threading.Thread = field(init=False)

    def __post_init__(self):
        self.watcher = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        took = 0.0
        while not self.ended.wait(max(LEAST_WAIT, WAIT_RATIO * took)):
            held, started = 0, time.monotonic()
            for process in psutil.Process().children(recursive=True):
                try:
                    held += process.memory_full_info().pss
                    if _ignores_children(process.ppid()):
                        times = process.cpu_times()
                        spent = times.user + times.system + times.children_user + times.children_system
                        self.unaccounted[process.pid] = spent
                except (psutil.Error, OSError):  # It has ended.
                    continue
            self.peak_bytes, took = max(self.peak_bytes, held), time.monotonic() - started


def _ignores_children(pid: int) -> bool:
    """Whether a process lets its children end unseen, so that nobody gets their times."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line for line in lines if line.startswith("SigIgn:")).split()[1]
    return bool(int(mask, 16) >> (signal.SIGCHLD - 1) & 1)
