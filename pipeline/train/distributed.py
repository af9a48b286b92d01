"""The processes of a run, as ``torchrun`` starts them, or the one that there is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from pipeline.errors import PipelineError

Result = TypeVar("Result")
# What one process does alone before the first step, such as training a tokenizer, may take long.
LONGEST_WAIT = timedelta(days=2)


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of a run: its rank, their number, how many are on its machine, and its device."""

    rank: int
    world_size: int
    local_world_size: int
    device: torch.device
    objects: dist.ProcessGroup | None = None  # for what is no tensor, and may take long; the default group if None

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

    def means_and_sum(self, values: torch.Tensor, number: int) -> tuple[list[float], int]:
        """The means of all processes' values, each by itself, and the sum of their numbers."""
        if self.world_size == 1:
            return values.tolist(), number
        both = torch.cat([values.double(), torch.tensor([float(number)], device=values.device).double()])
        dist.all_reduce(both)
        *means, total = both.tolist()
        return [mean / self.world_size for mean in means], int(total)

    def any(self, flag: bool) -> bool:
        """Whether it is true of any process; the devices are not waited for."""
        if self.world_size == 1:
            return flag
        found = torch.tensor([int(flag)])
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.objects)
        return bool(found)

    def gather_keys(self, keys: list[str]) -> list[str]:
        """All processes' keys, in the order of the batch."""
        return [key for keys in self.gather(keys) for key in keys]

    def gather(self, value: Any) -> list[Any]:
        """All processes' values, by rank."""
        if self.world_size == 1:
            return [value]
        found = [None] * self.world_size
        dist.all_gather_object(found, value, group=self.objects)
        return found

    def from_main(self, make: Callable[[], Result]) -> Result:
        """What rank 0 makes, for all; where it fails all fail."""
        return self.together(make if self.is_main else lambda: None, all_results=True)[0]

    def together(self, work: Callable[[], Result], all_results: bool = False) -> Any:
        """The result of what each process does; where one fails with a ``PipelineError``, all do.

        So none is left waiting for one that has ended; a file that fails is a ``PipelineError`` here. ``all_results``:
        those of all processes, by rank.
        """
        result = failure = None
        try:
            result = work()
        except PipelineError as error:
            failure = error
        except OSError as error:
            failure = PipelineError(str(error))
        found = self.gather((failure and (type(failure), str(failure)), result if all_results else None))
        for kind, message in (failed for failed, _ in found if failed):
            raise kind(message)
        return [value for _, value in found] if all_results else result


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
    objects = dist.new_group(backend="gloo", timeout=LONGEST_WAIT) if world_size > 1 else None
    return ProcessGroup(rank, world_size, local_world_size, device, objects)


@contextmanager
def processes() -> Iterator[ProcessGroup]:
    """The process group while a command runs."""
    group = init_process_group()
    try:
        yield group
    finally:
        destroy_process_group()


def destroy_process_group() -> None:
    """Leaves the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()
