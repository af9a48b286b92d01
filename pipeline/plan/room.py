"""What a machine has to give, and whether a run fits there. What is not known is taken for enough."""

import contextlib
import os
import shutil
from pathlib import Path

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.paths import local
from pipeline.room import shown


def disk_free(folder: str) -> int | None:
    """The free bytes of the disk that a folder is, or will be, on; None of a store."""
    if not storage.is_local(folder):
        return None
    place = Path(local(storage.absolute(folder)))
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def memory() -> int | None:
    """The memory that a run may take: the machine's, or that of this process's group; None where it is unknown."""
    found = []
    with contextlib.suppress(ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(ValueError, OSError):  # no such group, or "max"
            found.append(int((Path("/sys/fs/cgroup") / limit).read_text()))
    return min(found, default=None)


def may_fit(output: str, most: int) -> bool:
    """Whether a disk has so many bytes free, so that nothing more need be looked at."""
    free = disk_free(output)
    return free is None or most <= free


def check_disk(output: str, needed: float) -> None:
    """Raises ``UsageError`` where a run needs more of the disk than is free. What is in its output may be replaced."""
    free = disk_free(output)
    if free is None or needed <= free:
        return
    free += sum(size for _, size, _ in storage.files_below(output)) if storage.exists(output) else 0
    if needed > free:
        raise UsageError(
            f"--output {output}: the run needs about {shown(needed)} there, and {shown(free)} are free; "
            "give another folder, or --force to begin all the same"
        )


def check_beside(output: str, folders: list[str]) -> None:
    """Raises ``UsageError`` where tables of an output do not fit on its disk once more, beside themselves."""
    free = disk_free(output)
    if free is None:
        return
    needed = sum(size for name in folders for _, size, _ in storage.files_below(storage.join(output, name)))
    if needed > free:
        raise UsageError(
            f"--output {output}: its tables are written anew beside the old ones, which takes over "
            f"{shown(needed)}, and {shown(free)} are free"
        )


def check_memory(needed: float) -> None:
    """Raises ``UsageError`` where a run needs more memory than there is."""
    there = memory()
    if there is not None and needed > there:
        raise UsageError(
            f"the run needs about {shown(needed)} of memory, and this machine gives {shown(there)}; "
            "--force begins all the same"
        )
