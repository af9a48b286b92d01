"""The optimizers and their schedule."""

import math

import torch
from torch import nn

from pipeline.train.models import Towers
from pipeline.train.recipe import TOWERS, Optimizer, TrainRecipe


def build_optimizer(
    towers: Towers, recipe: TrainRecipe, device: torch.device
) -> tuple[torch.optim.Optimizer, list[float]]:
    """AdamW, or LAMB, over the parameters that learn, and the highest learning rate of each of its groups.

    Weight decay is not on gains, biases and the scale.
    """
    options = recipe.optimizer
    groups, peaks = [], []
    for peak, parameters in _by_rate(towers, recipe).items():
        for decays in (True, False):
            if chosen := [p for p in parameters if (p.ndim >= 2) == decays]:
                groups.append({"params": chosen, "weight_decay": options.weight_decay if decays else 0.0})
                peaks.append(peak)
    if options.name == "lamb":
        return Lamb(groups, lr=options.lr, betas=options.betas, eps=options.eps), peaks
    fused = device.type == "cuda" or None
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, eps=options.eps, fused=fused), peaks


def _by_rate(towers: Towers, recipe: TrainRecipe) -> dict[float, list[nn.Parameter]]:
    """The parameters that learn, by the highest learning rate: that of their tower, where it has one."""
    own = {name: getattr(recipe, name).lr or recipe.optimizer.lr for name in TOWERS}
    of_tower = {id(p): own[name] for name in TOWERS for part in towers.tower(name) for p in part.parameters()}
    found: dict[float, list[nn.Parameter]] = {}
    for parameter in towers.parameters():
        if parameter.requires_grad:
            found.setdefault(of_tower.get(id(parameter), recipe.optimizer.lr), []).append(parameter)
    return found


def learning_rate(step: int, steps: int, options: Optimizer, peak: float | None = None) -> float:
    """The rate of a step, counted from 0: linear in the warm-up, then half a cosine to zero at ``steps``.

    ``peak``: the highest one, where it is not the optimizer's.
    """
    peak = options.lr if peak is None else peak
    if step < options.warmup:
        return peak * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, steps - options.warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Lamb(torch.optim.Optimizer):
    """Adam's step, with decay, scaled for each matrix by the ratio of its norm to the step's (You et al. 2020).

    Vectors and scalars take Adam's step: how large they are says nothing of it.
    """

    def __init__(self, params, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure=None):
        """One step over all tensors that have a gradient."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                state["mean"].lerp_(parameter.grad, 1 - first)
                state["square"].mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
                mean = state["mean"] / (1 - first ** state["step"])
                square = state["square"] / (1 - second ** state["step"])
                move = mean / (square.sqrt() + group["eps"]) + group["weight_decay"] * parameter
                size, length = parameter.norm(), move.norm()
                adapts = parameter.ndim >= 2
                ratio = torch.where((size > 0) & (length > 0), size / length, 1.0) if adapts else 1.0
                parameter.sub_(group["lr"] * ratio * move)
