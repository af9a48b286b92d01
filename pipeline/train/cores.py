"""How many cores a process may use, which is less than the machine has in containers and under schedulers."""

import math
import os
from pathlib import Path, PurePosixPath

OWN, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def usable_cores(own: Path = OWN, groups: Path = GROUPS) -> int:
    """The cores of the process's affinity, or as many as its control groups let it use, if these are fewer.

    ``own``: the file that names its control groups. ``groups``: where they are mounted.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = min((_limit(folder) for folder in _folders(own, groups)), default=math.inf)
    return cores if math.isinf(limit) else max(1, min(cores, math.ceil(limit)))


def _folders(own: Path, groups: Path) -> list[Path]:
    """Those of the process's control group and of all above it, of version 2 (no kinds) and of version 1."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for _, kinds, path in lines:
        if not kinds or "cpu" in kinds.split(","):
            root, inner = groups / ("cpu" if kinds else ""), PurePosixPath(path)
            found += [root / str(above).lstrip("/") for above in (inner, *inner.parents)]
    return found


def _limit(folder: Path) -> float:
    """The cores that a control group may use; without end where it has no limit."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return math.inf if quota in ("max", "-1") else float(quota) / float(period)
    except (OSError, ValueError):
        return math.inf
