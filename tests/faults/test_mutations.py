"""Damaged files by the thousand: nothing hangs, no process dies, memory stays, and rows in are rows out and reasons.

Mutation n is made of n alone: ``MUTATION=1234 pytest -m slow tests/faults/test_mutations.py`` replays one.
"""

import mmap
import os
import resource
import signal
import struct
import time
import traceback
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import mutated

MOST_SECONDS, MOST_MEMORY = 10, 3 << 30
BATCH = 2500


def judged(first: int, end: int, folder: Path) -> tuple[list[str], Counter]:
    """What is wrong with mutations [first, end), and how many had which result; in processes that may die."""
    wrong, results = [], Counter()
    shared = mmap.mmap(-1, 16)
    while first < end:
        shared[:16] = struct.pack("qd", first, time.monotonic())
        inward, outward = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(inward)
            _read(first, end, folder, shared, outward)
        os.close(outward)
        with os.fdopen(inward) as lines:
            for line in lines:
                (results.update([line[2:].strip()]) if line.startswith("= ") else wrong.append(line.strip()))
        _, status = os.waitpid(child, 0)
        at = struct.unpack("qd", shared[:16])[0]
        if status:
            wrong.append(
                f"{at}: {mutated.KINDS[at % len(mutated.KINDS)]}: ended by {os.waitstatus_to_exitcode(status)}"
            )
        first = at + 1
    return wrong, results


def _read(first: int, end: int, folder: Path, shared: mmap.mmap, outward: int) -> None:
    """In a process of its own: the alarm ends it where a file takes too long, also in compiled code."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_MEMORY, used + MOST_MEMORY))
    with os.fdopen(outward, "w", buffering=1) as out:
        for number in range(first, end):
            shared[:8] = struct.pack("q", number)
            signal.alarm(MOST_SECONDS)
            try:
                print(f"= {mutated.KINDS[number % len(mutated.KINDS)]} {mutated.read(number, folder)}", file=out)
            except BaseException:
                said = " | ".join(traceback.format_exc().splitlines()[-5:])
                print(f"{number}: {mutated.KINDS[number % len(mutated.KINDS)]}: {said}", file=out)
    os._exit(0)


def all_judged(count: int, folder: Path) -> Counter:
    wrong, results = [], Counter()
    for first in range(0, count, BATCH):
        found, counted = judged(first, min(count, first + BATCH), folder)
        wrong += found
        results += counted
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:20])
    assert sum(results.values()) == count
    return results


def test_a_thousand_damaged_files(tmp_path):
    results = all_judged(1000, tmp_path)
    assert {line.split()[1] for line in results} >= {"whole", "dropped", "refused"}


@pytest.mark.slow
def test_a_hundred_thousand_damaged_files(tmp_path):
    started = time.monotonic()
    results = all_judged(100_000, tmp_path)
    print(f"\n100,000 in {time.monotonic() - started:.0f} s")
    for line, count in sorted(results.items()):
        print(f"{line}: {count}")


@pytest.mark.slow
@pytest.mark.skipif("MUTATION" not in os.environ, reason="MUTATION names none")
def test_replay(tmp_path):
    print(mutated.read(int(os.environ["MUTATION"]), tmp_path))
