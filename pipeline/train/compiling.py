"""``torch.compile`` of the towers: layer by layer, since all layers of a tower are the same code.

Compiled as one graph, ViT-B/32 had not made its first step on an H100 after 75 seconds, and texts of another length
would have had it compiled again; its 24 layers share the graph of one for each tower (PyTorch's "regional
compilation"). What lies before, between and after the layers runs as it is.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException
from transformers import AlignModel
from transformers.modeling_layers import GradientCheckpointingLayer

from pipeline.errors import PipelineError
from pipeline.train.models import Towers

Result = TypeVar("Result")

COMPILED_ON = ("cuda",)
# Two towers, with gradients and without, of one length and of any, of whole micro-batches and of the last.
GRAPHS = 16


def compile_towers(towers: Towers) -> nn.Module:
    """The towers, whose layers are compiled when they are first called; names of parameters stay as they are.

    ALIGN's image tower has no two blocks of the same shapes, so it is compiled as one.
    """
    torch._dynamo.config.recompile_limit = max(GRAPHS, torch._dynamo.config.recompile_limit)
    if isinstance(towers.model, AlignModel):
        return torch.compile(towers)
    for module in towers.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.compile()
    return towers


def compiled(work: Callable[[], Result]) -> Result:
    """What the work gives; ``PipelineError`` where a part of it cannot be compiled."""
    try:
        return work()
    except TorchDynamoException as error:
        said = " ".join(str(error).strip().splitlines()[:2])
        raise PipelineError(f"compile: {said}; --set compile=false trains without") from None
