"""The steps since the host last looked at the device: to look is to wait for it, so it is done once a log line."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pipeline.errors import PipelineError
from pipeline.train.distributed import ProcessGroup


@dataclass
class UncheckedSteps:
    """Losses and gradient norms of some steps, on the device, with what is needed where one is not finite."""

    first: int = 0  # the number of the first of these steps, from 1
    losses: list[torch.Tensor] = field(default_factory=list)
    norms: list[torch.Tensor] = field(default_factory=list)
    keys: list[list[str]] = field(default_factory=list)
    broken: list[tuple[int, str, str, str]] = field(default_factory=list)  # step, tar, key and what was wrong

    def add(
        self, step: int, loss: torch.Tensor, norm: torch.Tensor, keys: list[str], broken: list[tuple[str, str, str]]
    ) -> None:
        """Adds a step; the host does not wait."""
        if not self.losses:
            self.first = step
        self.losses.append(loss)
        self.norms.append(norm)
        self.keys.append(keys)
        self.broken += [(step, *sample) for sample in broken]

    def check(self, group: ProcessGroup, folder: Path) -> tuple[float, float, list[tuple]]:
        """Loss and gradient norm of the last step, and the broken samples of all steps; all processes call this.

        Raises ``PipelineError`` in all of them for the first step of which one is not finite; its samples are named in
        ``folder``.
        """
        losses, broken = group.means_and_sum(torch.stack(self.losses), len(self.broken))
        norms = torch.stack(self.norms).tolist()
        for place, (loss, norm) in enumerate(zip(losses, norms, strict=True)):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self._not_finite(place, loss, norm, group, folder)
        named = sorted(sample for samples in group.gather(self.broken) for sample in samples) if broken else []
        self.losses, self.norms, self.keys, self.broken = [], [], [], []
        return losses[-1], norms[-1], named

    def _not_finite(self, place: int, loss: float, norm: float, group: ProcessGroup, folder: Path) -> PipelineError:
        keys = group.gather_keys(self.keys[place])
        file = folder / "not-finite.txt"
        if group.is_main:
            file.write_text("\n".join(keys) + "\n")
        return PipelineError(
            f"step {self.first + place}: loss {loss}, gradient norm {norm}; its {len(keys)} samples are named in "
            f"{file}, the first is {keys[0]}; the checkpoint before it stands"
        )
