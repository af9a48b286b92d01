"""The processes of a run, as ``torchrun`` starts them, or the one that there is."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of a run: its rank, their number, how many are on its machine, and its device."""

    rank: int
    world_size: int
    local_world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes what is written once."""
        return self.rank == 0

    @property
    def device_ids(self) -> list[int] | None:
        """What DDP is told."""
        return [self.device.index] if self.device.type == "cuda" else None

    def barrier(self) -> None:
        """Waits until all processes are here."""
        if self.world_size > 1:
            dist.barrier(device_ids=self.device_ids)

    def mean_and_sum(self, value: torch.Tensor, number: int) -> tuple[float, int]:
        """The mean of all processes' values and the sum of their numbers."""
        if self.world_size == 1:
            return float(value), number
        both = torch.stack([value.double(), torch.tensor(float(number), device=value.device).double()])
        dist.all_reduce(both)
        return float(both[0] / self.world_size), int(both[1])

    def gather_keys(self, keys: list[str]) -> list[str]:
        """All processes' keys, in the order of the batch."""
        if self.world_size == 1:
            return keys
        found: list[list[str]] = [[] for _ in range(self.world_size)]
        dist.all_gather_object(found, keys)
        return [key for keys in found for key in keys]


def init_process_group() -> ProcessGroup:
    """Joins the process group of ``torchrun``: NCCL with a GPU each, else gloo. One process alone needs no launcher."""
    rank, world_size, local_world_size, local_rank = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    if world_size > 1:
        dist.init_process_group("nccl" if cuda else "gloo")
    return ProcessGroup(rank, world_size, local_world_size, device)


def destroy_process_group() -> None:
    """Leaves the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()
