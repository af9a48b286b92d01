"""An exponential moving average of the weights, in float32 on the device, sharded where they are."""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from pipeline.train.fsdp import whole
from pipeline.train.models import Towers
from pipeline.train.recipe import TrainRecipe


class Average:
    """The average of what changes in training: the parameters that learn, and the statistics of batch norms."""

    def __init__(self, towers: Towers, recipe: TrainRecipe):
        """Starts at the towers' own values; they are on their device, and sharded, by now."""
        self.decay = recipe.ema.decay
        self.warmup = recipe.optimizer.warmup if recipe.ema.warmup is None else recipe.ema.warmup
        learning = {name: parameter for name, parameter in towers.named_parameters() if parameter.requires_grad}
        kept = towers.state_dict().keys()
        statistics = {n: buffer for n, buffer in towers.named_buffers() if n in kept and buffer.is_floating_point()}
        self.live: dict[str, Tensor] = learning | statistics
        self.values = {name: value.detach().clone() for name, value in self.live.items()}

    def decay_at(self, step: int) -> float:
        """The decay of a step, counted from 1: it rises to its value in the warm-up, so that first weights are lost."""
        return self.decay * min(1.0, step / self.warmup) if self.warmup else self.decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the weights after a step."""
        share = 1 - self.decay_at(step)
        for name, value in self.live.items():
            self.values[name].lerp_(value, share)

    def state(self, is_main: bool) -> dict[str, Tensor]:
        """The whole averages on the CPU of the first process, none elsewhere. All processes call this."""
        found = {}
        for name, value in self.values.items():
            tensor = whole(value)
            if is_main:
                found[name] = tensor.cpu()
        return found

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Puts back what ``state`` gave; all processes have read it."""
        for name, value in self.values.items():
            given = state[name].to(value.device)
            if isinstance(value, DTensor):
                given = distribute_tensor(given, value.device_mesh, value.placements)
            value.copy_(given)
