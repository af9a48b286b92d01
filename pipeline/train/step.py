"""One training step: the gradients of a batch, whole or with cached gradients, on any number of processes."""

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.train.loss import loss_of
from pipeline.train.models import Towers, needs_attention_mask
from pipeline.train.recipe import TrainRecipe
from pipeline.train.sampler import uniforms

DROP = 1003  # what random numbers are for


@dataclass
class Inputs:
    """A process's part of a batch on its device."""

    images: torch.Tensor
    ids: torch.Tensor
    mask: torch.Tensor | None
    patch_noise: torch.Tensor | None

    def chunk(self, start: int, end: int) -> "Inputs":
        """The samples [start, end)."""
        rows = (None if x is None else x[start:end] for x in (self.images, self.ids, self.mask, self.patch_noise))
        return Inputs(*rows)


def make_inputs(towers: Towers, images, ids, pad: int, seed: int, first: int, patches: int) -> Inputs:
    """The inputs of samples that stand at ``first`` and on in the stream, with the numbers for their patch dropout."""
    mask = (ids != pad).long() if needs_attention_mask(towers.model) else None
    noise = None
    if patches:
        positions = torch.arange(first, first + len(ids)).numpy()
        noise = torch.from_numpy(uniforms(seed, DROP, positions, patches)).to(ids.device)
    return Inputs(images, ids, mask, noise)


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seeds torch's generators for a step, so that dropout after a resume is what it would have been."""
    torch.manual_seed(((seed * 1_000_003 + step) * 1_009 + rank) % 2**64)


def forward_backward(module: nn.Module, inputs: Inputs, recipe: TrainRecipe) -> torch.Tensor:
    """Adds the gradients of the whole batch's loss to the parameters, and returns this process's part of the loss.

    ``module``: ``Towers``, or those within DDP, which averages the gradients of all processes.
    """
    device = inputs.images.device.type
    autocast = torch.autocast(device, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()
    if recipe.micro_batch is None or recipe.micro_batch >= len(inputs.images):
        with autocast:
            outputs = module(inputs.images, inputs.ids, inputs.mask, inputs.patch_noise)
        loss = compute_loss(outputs, recipe)
        loss.backward()
        return loss.detach()
    return cached_gradients(module, inputs, recipe, autocast)


def compute_loss(outputs, recipe: TrainRecipe) -> torch.Tensor:
    """The loss of a forward pass's outputs, in float32 (float64 where the model is)."""
    images, texts, scale, bias = outputs
    wide = torch.promote_types(images.dtype, torch.float32)
    return loss_of(recipe.loss)(images.to(wide), texts.to(wide), scale, bias)


def cached_gradients(module: nn.Module, inputs: Inputs, recipe: TrainRecipe, autocast) -> torch.Tensor:
    """As ``forward_backward``, in memory of ``micro_batch`` samples: GradCache (Gao et al. 2021).

    First all vectors without gradients; then the loss's gradient by them; then each chunk again, with that gradient.
    """
    size, count = recipe.micro_batch, len(inputs.images)
    chunks = [inputs.chunk(start, min(start + size, count)) for start in range(0, count, size)]
    generators, vectors = [], []
    with torch.no_grad(), autocast:
        for chunk in chunks:
            generators.append(_rng_states(inputs.images.device))
            vectors.append(module(chunk.images, chunk.ids, chunk.mask, chunk.patch_noise)[:2])
    images, texts = (torch.cat(side).requires_grad_() for side in zip(*vectors, strict=True))
    towers = module.module if isinstance(module, DistributedDataParallel) else module
    scale = towers.scale().detach().requires_grad_()
    bias = towers.logit_bias()
    bias = None if bias is None else bias.detach().clone().requires_grad_()
    loss = compute_loss((images, texts, scale, bias), recipe)
    loss.backward()
    after = _rng_states(inputs.images.device)
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        _set_rng_states(generators[number])
        with module.no_sync() if isinstance(module, DistributedDataParallel) and not last else nullcontext():
            with autocast:
                got_images, got_texts, got_scale, got_bias = module(
                    chunk.images, chunk.ids, chunk.mask, chunk.patch_noise
                )
            rows = slice(number * size, number * size + len(chunk.images))
            found = [(got_images, images.grad[rows]), (got_texts, texts.grad[rows])]
            # The scale and the bias get their gradient once.
            for got, leaf in ((got_scale, scale), (got_bias, bias)):
                if got is not None:
                    found.append((got, leaf.grad if last else torch.zeros_like(leaf)))
            # Vectors of a frozen tower have none.
            outputs, gradients = zip(*(pair for pair in found if pair[0].requires_grad), strict=True)
            torch.autograd.backward(outputs, gradients)
    _set_rng_states(after)
    return loss.detach()


def _rng_states(device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_rng_states(states: tuple[torch.Tensor, torch.Tensor | None]) -> None:
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1])
