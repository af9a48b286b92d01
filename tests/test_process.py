"""The measuring of whole trees of processes, in a process of its own: it waits for every child there is."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("psutil")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trees are measured on Linux alone")

BURN = "import time\nwhile time.process_time() < 1.5: pass"
# A parent that is in no account of its child's time, as PySpark's daemon is; and one that ends before its child.
UNSEEN = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", {BURN!r}])
child.wait()
"""
ORPHAN = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {BURN!r}])
"""
# Two processes by fork that read the 200 MB of their parent.
SHARED = """
import os, time
held = b"x" * 200_000_000
for _ in range(2):
    if os.fork() == 0:
        sum(held[::4096])
        break
time.sleep(2)
"""


def measure(code):
    ask = f"""
import dataclasses, json, sys
from benchmarks.process import measured
print(json.dumps(dataclasses.asdict(measured([sys.executable, "-c", {code!r}]))))
"""
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_time_of_a_child_whose_parent_does_not_look_is_counted():
    taken = measure(UNSEEN)
    assert 0.9 < taken["core_seconds"] < 2.5
    assert taken["seconds"] > 1.4


def test_an_orphan_is_waited_for_and_the_seconds_are_those_of_the_command():
    taken = measure(ORPHAN)
    assert 1.4 < taken["core_seconds"] < 2.5
    assert taken["seconds"] < 1.4


def test_memory_that_is_shared_counts_once():
    assert 190e6 < measure(SHARED)["peak_bytes"] < 350e6


def test_a_command_that_fails_is_named():
    with pytest.raises(AssertionError, match=r"PipelineError.*ended with 3: broken"):
        measure("import sys; print('broken'); sys.exit(3)")
