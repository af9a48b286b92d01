"""Checkpoints: one file a step, complete or not there, of tensors and plain values alone.

The place in the data and all random numbers follow from the seed and the step, so a checkpoint needs neither.
"""

import os
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import PipelineError

PATTERN = "step-*.pt"


def save(folder: Path, state: dict[str, Any], keep: int) -> None:
    """Writes the state after ``state["step"]`` steps and removes all but the ``keep`` newest."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"step-{state['step']:08d}.pt"
    part = file.with_suffix(".part")
    with part.open("wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
    for old in sorted(folder.glob(PATTERN))[:-keep]:
        old.unlink()
    for rest in folder.glob("*.part"):
        rest.unlink()


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run, if there is one."""
    return max(folder.glob(PATTERN), default=None)


def step_of(file: Path) -> int:
    """After how many steps a checkpoint was written."""
    return int(file.stem.partition("-")[2])


def load(file: Path) -> dict[str, Any]:
    """What ``save`` wrote, on the CPU."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged file.
        raise PipelineError(f"{file}: not a checkpoint: {str(error).splitlines()[0]}; remove it to go on") from None
