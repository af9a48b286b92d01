"""What all processes of a run must agree on before its first step: what it is of, and the folder that it is in.

One run at a time is in a folder: of two, each would write over the other's records and remove its checkpoints.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.lock import held
from pipeline.train import checkpoint
from pipeline.train.distributed import ProcessGroup

SHARED_SECONDS = 10  # for a file to be seen by all processes
FREED_SECONDS = 10  # for the workers of a run that was killed to end, which have its folder as long


def agree(group: ProcessGroup, **facts: Any) -> None:
    """Refuses, in all processes, those that would not train the same: ``facts`` by name are to be those of rank 0."""
    first, *others = group.gather(facts)
    for rank, found in enumerate(others, 1):
        for name in facts:
            if found[name] != first[name]:
                said = f"another {name} than rank 0"
                if isinstance(found[name], int):
                    said = f"{name} {found[name]}, rank 0 at {name} {first[name]}"
                raise UsageError(
                    f"rank {rank} starts at {said}; recipe, --output and --shards must be the same for all processes"
                )


def check_shared(folder: Path, group: ProcessGroup, run: str) -> None:
    """Refuses, in all processes, a folder that they do not share: a checkpoint that one writes is for all."""
    if group.world_size == 1:
        return
    probe, made = folder / f".shared-{run}", not folder.exists()
    if group.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    group.barrier()
    until = time.monotonic() + SHARED_SECONDS
    while not (seen := probe.exists()) and time.monotonic() < until:
        if folder.parent.is_dir():
            os.listdir(folder.parent)  # NFS then looks anew.
        time.sleep(0.2)
    blind = [rank for rank, sees in enumerate(group.gather(seen)) if not sees]
    if group.is_main:
        probe.unlink(missing_ok=True)
        if blind and made:
            folder.rmdir()
    if blind:
        raise UsageError(
            f"--output {folder}: rank {blind[0]} does not see what rank 0 writes there; give a shared folder"
        )


@contextmanager
def held_folder(folder: Path, group: ProcessGroup, step: int | None) -> Iterator[None]:
    """Holds a run's folder. ``UsageError``, in all processes, where another run does, or went on behind ``step``.

    ``step``: where the run was when its folder was looked at; None for one that starts anew, whatever is there.
    """
    with ExitStack() as stack:
        group.together(lambda: _hold(folder, stack, step) if group.is_main else None)
        yield


def _hold(folder: Path, stack: ExitStack, step: int | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + FREED_SECONDS
    while True:
        try:
            stack.enter_context(held(str(folder)))
            break
        except UsageError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
    newest = checkpoint.latest(folder / "checkpoints")
    if newest is not None and step is not None and checkpoint.step_of(newest) != step:
        raise UsageError(f"--output {folder}: another run went on there meanwhile; start again")
