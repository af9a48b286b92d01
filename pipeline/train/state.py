"""The state of a run: what it starts from, fresh, given or saved, and what is exported at its end."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PretrainedConfig

from pipeline.train.distributed import ProcessGroup
from pipeline.train.ema import Average
from pipeline.train.fsdp import full_state, load_full_state, shard_parameters
from pipeline.train.init_from import given_bias, load_weights
from pipeline.train.models import SIGLIP_BIAS, Towers, model_of, towers_of
from pipeline.train.optimizer import build_optimizer
from pipeline.train.recipe import TrainRecipe
from pipeline.train.start import Start


@dataclass
class TrainState:
    """What changes in a run."""

    towers: Towers
    optimizer: torch.optim.Optimizer
    peaks: list[float]  # the highest learning rate of each of its groups
    average: Average | None = None  # of the weights
    step: int = 0
    broken: int = 0
    mark: tuple[int, ...] | None = None  # where the sampler counts on from


def initial_state(start: Start, group: ProcessGroup) -> TrainState:
    """Fresh or given weights, or those of the checkpoint that the run goes on from."""
    recipe, saved = start.recipe, start.saved
    if group.device.type == "cpu":
        # Sums in another order differ in their last bits, and the number of threads is the order.
        torch.set_num_threads(saved["threads"] if saved else torch.get_num_threads())
    torch.use_deterministic_algorithms(group.device.type == "cpu")
    torch.manual_seed(recipe.seed)
    model = model_of(start.config)
    if start.init_from is not None and saved is None:
        load_weights(model, start.init_from)
    if recipe.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    towers = towers_of(model, recipe).to(group.device).train()
    if towers.bias is not None and start.init_from is not None and saved is None:
        bias = given_bias(start.init_from)
        torch.nn.init.constant_(towers.bias, SIGLIP_BIAS if bias is None else bias)
    if group.device.type == "cuda" and group.world_size > 1:
        towers = torch.nn.SyncBatchNorm.convert_sync_batchnorm(towers)
    if recipe.shard_parameters and group.world_size > 1:
        shard_parameters(towers, recipe.precision)
    state = TrainState(towers, *build_optimizer(towers, recipe, group.device))
    if saved is not None:
        load_full_state(towers, state.optimizer, saved)
    if recipe.ema.decay is not None:
        state.average = Average(towers, recipe)
        if saved is not None and "ema" in saved:
            state.average.load(saved["ema"])
    if saved is not None:
        state.step, state.broken = saved["step"], saved["broken"]
        state.mark = saved.get("mark")
    return state


def saved_state(state: TrainState, recipe: TrainRecipe, group: ProcessGroup) -> dict[str, Any]:
    """What a checkpoint holds, in the first process. All processes call this."""
    saved = full_state(state.towers, state.optimizer)
    if state.average is not None:
        saved |= {"ema": state.average.state(group.is_main)}
    return saved | {"step": state.step, "seed": recipe.seed, "batch": recipe.batch, "mark": state.mark,
                    "threads": torch.get_num_threads(), "broken": state.broken}  # fmt: skip


def towers_in(saved: dict[str, Any], config: PretrainedConfig, recipe: TrainRecipe, ema: bool) -> Towers:
    """The towers of a checkpoint, as one process has them. ``ema``: with the averages of the weights."""
    towers = Towers(model_of(config), siglip=recipe.loss.name == "siglip", options=recipe.model)
    towers.load_state_dict(saved["towers"] | (saved["ema"] if ema else {}))
    return towers
