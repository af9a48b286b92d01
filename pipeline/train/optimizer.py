"""The optimizers and their schedule."""

import math

import torch
from torch import nn

from pipeline.train.recipe import Optimizer


def build_optimizer(module: nn.Module, options: Optimizer, device: torch.device) -> torch.optim.Optimizer:
    """AdamW, or LAMB, over the parameters that learn; weight decay not on gains, biases and the scale."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in learning if p.ndim == 1], "weight_decay": 0.0},
        {"params": [p for p in learning if p.ndim == 0], "weight_decay": 0.0},
    ]
    if options.name == "lamb":
        return Lamb(groups, lr=options.lr, betas=options.betas, eps=options.eps)
    return torch.optim.AdamW(
        groups, lr=options.lr, betas=options.betas, eps=options.eps, fused=device.type == "cuda" or None
    )


def learning_rate(step: int, steps: int, options: Optimizer) -> float:
    """The rate of a step, counted from 0: linear in the warm-up, then half a cosine to zero at ``steps``."""
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, steps - options.warmup)
    return options.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


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
