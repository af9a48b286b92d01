"""How many tasks a machine can do at a time."""

import contextlib
import math
import os
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


def cores(group: Path = GROUP) -> int:
    """The cores that this process may use: those that it may run on, or its control group's share of them, if less."""
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    with contextlib.suppress(ValueError, TypeError, OSError):  # no such group, or "max"
        found.append(_share(*(group / "cpu.max").read_text().split()))
    with contextlib.suppress(ValueError, OSError):
        found.append(_share(*((group / "cpu" / f"cpu.cfs_{key}_us").read_text() for key in ("quota", "period"))))
    return max(1, min(found))


def _share(quota: str, period: str) -> int:
    if int(quota) <= 0:
        raise ValueError("no share is set")
    return math.ceil(int(quota) / int(period))
