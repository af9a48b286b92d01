"""How much more room a stage would have needed on a disk that became full."""

import contextlib
import os
from typing import Any

from pipeline import storage

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def needed(session: Any, staging: str) -> int | None:
    """About how many bytes the failed job of a session had still to write into a folder of this machine.

    By the share of its tasks that were done, so nothing where none was.
    """
    if not storage.is_local(staging):
        return None
    if hasattr(session, "share_done"):
        share = session.share_done()
        return round(written(storage.absolute(staging)) * (1 - share) / share) if share else None
    with contextlib.suppress(Exception):  # The session may be gone: then nobody knows.
        tracker = session.sparkContext.statusTracker()
        job = tracker.getJobInfo(max(tracker.getJobIdsForGroup(None)))
        failed = [found for found in map(tracker.getStageInfo, job.stageIds) if found and found.numFailedTasks]
        done, tasks = failed[0].numCompletedTasks, failed[0].numTasks
        return written(storage.absolute(staging)) * (tasks - done) // done if done else None
    return None


def written(folder: str) -> int:
    """The bytes of all files below a folder of this machine, hidden and unfinished ones too."""
    found = (os.path.join(above, name) for above, _, names in os.walk(folder) for name in names)
    return sum(os.lstat(file).st_size for file in found if os.path.lexists(file))


def shown(size: float) -> str:
    """A number of bytes for people: ``12 GB``."""
    unit = 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {UNITS[unit]}" if size >= 10 or unit == 0 else f"{size:.1f} {UNITS[unit]}"
