"""The state of a run: what it starts from, fresh, given or saved, and what is exported at its end."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.errors import UsageError
from pipeline.progress import say
from pipeline.train import checkpoint
from pipeline.train.distributed import ProcessGroup
from pipeline.train.fsdp import load_full_state, shard_parameters
from pipeline.train.models import Towers, build_model
from pipeline.train.optimizer import build_optimizer
from pipeline.train.recipe import TrainRecipe
from pipeline.train.tokenizer import tokenizer_config


@dataclass
class TrainState:
    """What changes in a run."""

    towers: Towers
    optimizer: torch.optim.Optimizer
    step: int = 0
    broken: int = 0
    mark: tuple[int, ...] | None = None  # where the sampler counts on from


def initial_state(
    recipe: TrainRecipe, tokenizer, folder: Path, group: ProcessGroup, init_from: str | None
) -> TrainState:
    """Fresh or given weights, or those of the folder's newest checkpoint."""
    found = checkpoint.latest(folder / "checkpoints")
    saved = None if found is None else checkpoint.load(found)
    if group.device.type == "cpu":
        # Sums in another order differ in their last bits, and the number of threads is the order.
        torch.set_num_threads(saved["threads"] if saved else torch.get_num_threads())
    torch.use_deterministic_algorithms(group.device.type == "cpu")
    torch.manual_seed(recipe.seed)
    siglip = recipe.loss.name == "siglip"
    model = build_model(recipe.model, tokenizer_config(tokenizer), siglip)
    if init_from is not None and saved is None:
        given = type(model).from_pretrained(init_from)
        if (sizes := {n: tuple(p.shape) for n, p in given.state_dict().items()}) != {
            n: tuple(p.shape) for n, p in model.state_dict().items()
        }:
            raise UsageError(f"--init-from {init_from}: its {len(sizes)} tensors are not those of the recipe's model")
        model.load_state_dict(given.state_dict())
    if recipe.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    towers = Towers(model, recipe.patch_dropout, siglip).to(group.device).train()
    if group.device.type == "cuda" and group.world_size > 1:
        towers = torch.nn.SyncBatchNorm.convert_sync_batchnorm(towers)
    if recipe.shard_parameters and group.world_size > 1:
        shard_parameters(towers)
    state = TrainState(towers, build_optimizer(towers, recipe.optimizer, group.device))
    if saved is not None:
        if saved["seed"] != recipe.seed or saved["batch"] != recipe.batch:
            raise UsageError(
                f"{found}: is of seed {saved['seed']} and batch {saved['batch']}, the recipe has {recipe.seed} and "
                f"{recipe.batch}; --force starts anew"
            )
        load_full_state(towers, state.optimizer, saved)
        state.step, state.broken = saved["step"], saved["broken"]
        state.mark = saved.get("mark")
        if group.is_main:
            say(f"Going on after step {state.step:,} of {found}")
    return state


def full_towers(recipe: TrainRecipe, tokenizer, folder: Path) -> Towers:
    """The towers of the newest checkpoint, as one process has them."""
    siglip = recipe.loss.name == "siglip"
    towers = Towers(build_model(recipe.model, tokenizer_config(tokenizer), siglip), siglip=siglip)
    towers.load_state_dict(checkpoint.load(checkpoint.latest(folder / "checkpoints"))["towers"])
    return towers
