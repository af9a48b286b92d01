"""What a process of the tests with two processes does; its own module, so that a spawned process can import it."""

import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from pipeline.errors import UsageError
from pipeline.train import agreement
from pipeline.train.distributed import destroy_process_group, init_process_group
from pipeline.train.fsdp import average_scalars, clip_grad_norm, shard_parameters
from pipeline.train.loss import chunked_siglip_loss, siglip_loss
from pipeline.train.models import build_model, towers_of
from pipeline.train.start import prepare
from pipeline.train.step import forward_backward, make_inputs, seed_step


def gradients(
    recipe, tokens, images, ids, double: bool, evaluating: bool = False, device: str = "cpu"
) -> tuple[float, dict]:
    """The loss and the gradients of a batch, by this process alone or together with the others of its group."""
    images, ids = images.to(device), ids.to(device)
    rank, count = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(0)
    towers = towers_of(build_model(recipe.model, tokens, recipe.loss.name == "siglip"), recipe)
    towers = (towers.double() if double else towers).to(device).train(not evaluating)
    if evaluating:
        _settle_batch_norms(towers, images)
    local = len(images) // count
    rows = slice(rank * local, (rank + 1) * local)
    patches = 16 if recipe.patch_dropout else 0
    inputs = make_inputs(towers, images[rows], ids[rows], tokens.pad, 0, 1000 + rank * local, patches)
    sharded = count > 1 and recipe.shard_parameters
    if sharded:
        shard_parameters(towers, recipe.precision)
    module = DistributedDataParallel(towers) if count > 1 and not sharded else towers
    seed_step(0, 0, rank)
    loss = forward_backward(module, inputs, recipe).double()
    if count > 1:
        dist.all_reduce(loss)
    if sharded:
        average_scalars(towers)
    learning = [p for p in towers.parameters() if p.requires_grad]
    norm = clip_grad_norm(learning, float("inf"))
    found = {name: p.grad for name, p in towers.named_parameters() if p.grad is not None}
    found = {name: (g.full_tensor() if isinstance(g, DTensor) else g).cpu() for name, g in found.items()}
    whole = torch.cat([g.flatten().double() for g in found.values()]).norm()
    assert torch.isclose(norm.double(), whole, rtol=1e-4)
    return float(loss) / count, found


def _settle_batch_norms(towers, images):
    """Gives batch norms the statistics of the images: with fresh ones what they let through is next to nothing."""
    norms = [module for module in towers.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        towers.model.get_image_features((images.to(towers.mean.dtype) / 255 - towers.mean) / towers.std)
    for norm in norms:
        norm.eval()


def one_of_two(rank: int, port: int, arguments: tuple, file: str) -> None:
    """A process of a group of two; the first writes what it got."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    found = [gradients(*case) for case in arguments]
    if rank == 0:
        torch.save(found, file)
    dist.destroy_process_group()


def start_with_own_folders(rank: int, port: int, cases: list[tuple[list, list]], said: str) -> None:
    """Starts runs as one of two processes, each with a recipe and a folder of its own; writes what stops each."""
    agreement.SHARED_SECONDS = 1
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2",
                   "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}  # fmt: skip
    group = init_process_group()
    errors = []
    for recipes, folders in cases:
        try:
            prepare(recipes[rank], folders[rank], group)
            errors.append("")
        except UsageError as error:
            errors.append(str(error))
    Path(said, str(rank)).write_text(json.dumps(errors))
    destroy_process_group()


def siglip_gradients(chunked: bool, count: int = 12) -> list[torch.Tensor]:
    """The loss of a batch of which each process has its part, and its gradients by vectors, scale and bias."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    generator = torch.Generator().manual_seed(3)
    images, texts = (torch.randn(count, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    rows = slice(rank * count // world, (rank + 1) * count // world)
    leaves = [
        images[rows],
        texts[rows],
        torch.tensor(3.0, dtype=torch.float64),
        torch.tensor(-2.0, dtype=torch.float64),
    ]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    loss = (chunked_siglip_loss if chunked else siglip_loss)(*leaves)
    (2 * loss).backward()
    return [loss.detach(), *(leaf.grad for leaf in leaves)]


def one_in_a_ring(rank: int, world: int, port: int, folder: str) -> None:
    """A process of a group; each writes what it got of both losses."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    torch.save([siglip_gradients(True), siglip_gradients(False)], Path(folder, str(rank)))
    dist.destroy_process_group()
