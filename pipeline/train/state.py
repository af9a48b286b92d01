"""The state of a run: what it starts from, fresh, given or saved, and what is exported at its end."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from pipeline.errors import UsageError
from pipeline.train import checkpoint
from pipeline.train.distributed import ProcessGroup
from pipeline.train.export import given_bias
from pipeline.train.fsdp import load_full_state, shard_parameters
from pipeline.train.models import Towers, model_of
from pipeline.train.optimizer import build_optimizer
from pipeline.train.start import Start


@dataclass
class TrainState:
    """What changes in a run."""

    towers: Towers
    optimizer: torch.optim.Optimizer
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
    siglip = recipe.loss.name == "siglip"
    model = model_of(start.config)
    if start.init_from is not None and saved is None:
        load_weights(model, start.init_from)
    if recipe.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    towers = Towers(model, recipe.patch_dropout, siglip).to(group.device).train()
    if siglip and start.init_from is not None and (bias := given_bias(start.init_from)) is not None:
        torch.nn.init.constant_(towers.bias, bias)
    if group.device.type == "cuda" and group.world_size > 1:
        towers = torch.nn.SyncBatchNorm.convert_sync_batchnorm(towers)
    if recipe.shard_parameters and group.world_size > 1:
        shard_parameters(towers, recipe.precision)
    state = TrainState(towers, build_optimizer(towers, recipe.optimizer, group.device))
    if saved is not None:
        load_full_state(towers, state.optimizer, saved)
        state.step, state.broken = saved["step"], saved["broken"]
        state.mark = saved.get("mark")
    return state


def load_weights(model: PreTrainedModel, folder: str) -> None:
    """Puts the weights of an exported model, of the same architecture, into a model."""
    try:
        given, said = type(model).from_pretrained(
            folder, config=model.config, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"--init-from {folder}: {str(error).strip().splitlines()[0]}") from None
    if wrong := sorted(map(str, [*said["missing_keys"], *said["mismatched_keys"]])):
        raise UsageError(f"--init-from {folder}: has no {wrong[0]} of the size that its config.json says")
    model.load_state_dict(given.state_dict())


def full_towers(start: Start) -> Towers:
    """The towers of the newest checkpoint, as one process has them."""
    towers = Towers(model_of(start.config), siglip=start.recipe.loss.name == "siglip")
    towers.load_state_dict(checkpoint.load(checkpoint.latest(start.folder / "checkpoints"))["towers"])
    return towers
