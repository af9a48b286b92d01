"""The floating-point operations of a model, counted on a copy of it that has no values.

What counts for MFU is the model's own work, forwards and backwards: not what is computed again to save memory, nor the
loss over the batch. The copy is on torch's meta device, so counting takes no memory, and the model itself may be
compiled and sharded.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PretrainedConfig

from pipeline.train.models import Towers, meta_model, needs_attention_mask, num_patches, towers_of
from pipeline.train.recipe import TrainRecipe

SAMPLES = 2  # Batch norms want more than one.


def flop_counter(config: PretrainedConfig, recipe: TrainRecipe) -> Callable[[int], float]:
    """What gives the operations of a sample, forwards and backwards, by the length of the texts in tokens."""
    towers = cache(lambda: meta_towers(config, recipe))
    return cache(lambda tokens: _count(towers(), recipe, tokens))


def meta_towers(config: PretrainedConfig, recipe: TrainRecipe) -> Towers:
    """The towers of a configuration, of which every tensor has a shape alone."""
    with torch.device("meta"):
        return towers_of(meta_model(config), recipe).train()


def meta_inputs(towers: Towers, recipe: TrainRecipe, samples: int, tokens: int) -> tuple:
    """What ``Towers.forward`` takes of so many samples."""
    side = recipe.model.image_size
    ids = torch.zeros(samples, tokens, dtype=torch.int32, device="meta")
    # One of four dimensions is taken as it is; of others the values would be looked at.
    mask = torch.zeros(samples, 1, tokens, tokens, device="meta") if needs_attention_mask(towers.model) else None
    patches = num_patches(recipe, towers.model)
    noise = torch.zeros(samples, patches, device="meta") if patches else None
    return torch.zeros(samples, 3, side, side, dtype=torch.uint8, device="meta"), ids, mask, noise


def _count(towers: Towers, recipe: TrainRecipe, tokens: int) -> float:
    with FlopCounterMode(display=False) as counter:
        images, texts, *_ = towers(*meta_inputs(towers, recipe, SAMPLES, tokens))
        (images.sum() + texts.sum()).backward()
    return counter.get_total_flops() / SAMPLES
