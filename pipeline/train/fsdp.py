"""Parameters sharded over the processes (FSDP2), for models too large for one GPU with their optimizer's state.

The scale and the bias of the logits are single numbers, which are not sharded: every process has them, and their
gradient is averaged here. States are saved and loaded whole, so a run may go on with another number of processes.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def shard_parameters(towers: nn.Module, precision: str) -> None:
    """Shards each layer of the towers by itself, then the rest, in place.

    With ``precision`` bfloat16, layers are gathered in that, and their gradients added up in float32.
    """
    half = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32} if precision == "bfloat16" else {}
    policy = MixedPrecisionPolicy(**half)
    # A head that pools gives a view, which FSDP's hooks are not made for; it goes with the rest.
    layers = {name for name in towers.model._no_split_modules if not name.endswith("PoolingHead")}
    for module in list(towers.model.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, mp_policy=policy)
    fully_shard(towers, mp_policy=policy, ignored_params={p for p in towers.parameters() if p.numel() == 1})


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, sharded or not, without gradients. All processes call this."""
    return tensor.detach().full_tensor() if isinstance(tensor, DTensor) else tensor.detach()


def average_scalars(towers: nn.Module) -> None:
    """Averages the gradients of the parameters that are not sharded."""
    for parameter in towers.parameters():
        if not isinstance(parameter, DTensor) and parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()


def full_state(towers: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The whole states of both, on the CPU of the first process. All processes call this."""
    return {
        "towers": get_model_state_dict(towers, options=WHOLE),
        "optimizer": get_optimizer_state_dict(towers, optimizer, options=WHOLE),
    }


def load_full_state(towers: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Puts back what ``full_state`` gave; all processes have read it."""
    set_model_state_dict(towers, state["towers"], options=WHOLE)
    set_optimizer_state_dict(towers, optimizer, state["optimizer"], options=WHOLE)


def clip_grad_norm(parameters: list[nn.Parameter], max_norm: float) -> torch.Tensor:
    """The norm of all gradients, sharded or not, which are scaled down where it is above ``max_norm``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    kinds = [[g for g in gradients if isinstance(g, DTensor) == kind] for kind in (True, False)]
    norms = [torch.nn.utils.get_total_norm(kind) for kind in kinds if kind]
    norm = torch.stack([n.full_tensor() if isinstance(n, DTensor) else n for n in norms]).norm()
    if max_norm < float("inf"):
        factor = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
        for gradient in gradients:
            gradient.mul_(factor)
    return norm
