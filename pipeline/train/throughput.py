"""How fast a run goes."""

import time
from collections.abc import Callable

import torch
from rich.progress import Progress

from pipeline.progress import console

LINE_SECONDS = 20
# Peak of dense bfloat16 matrix products, in FLOP/s, by a part of the GPU's name.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "V100": 125e12, "4090": 165e12}


class Throughput:
    """How fast it goes: samples a second, the share of time spent waiting for data, and the use of the GPU."""

    def __init__(self, device: torch.device, batch: int, local_batch: int, sample_flops: Callable[[int], float]):
        """``local_batch``: this process's samples of a batch. ``sample_flops``: as ``flop_counter`` gives it."""
        self.device, self.batch, self.local_batch, self.sample_flops = device, batch, local_batch, sample_flops
        self.peak = peak_flops(device)
        self.restart()

    def restart(self) -> None:
        """Counts anew."""
        self.started, self.waited, self.steps, self.flops = time.monotonic(), 0.0, 0, 0.0

    def next_batch(self, batches):
        """The next batch, with the time that it took."""
        before = time.monotonic()
        batch = next(batches)
        self.waited += time.monotonic() - before
        self.steps += 1
        if self.peak is not None:
            self.flops += self.local_batch * self.sample_flops(batch.ids.shape[1])
        return batch

    def figures(self) -> dict[str, float | None]:
        """The figures since the last call."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.monotonic() - self.started
        figures = {
            "samples_per_second": self.steps * self.batch / seconds,
            "data_wait": self.waited / seconds,
            "mfu": self.flops / seconds / self.peak if self.peak else None,
        }
        self.restart()
        return figures


class ProgressLog:
    """What a person sees: on a terminal beside the bar, elsewhere a line from time to time."""

    def __init__(self, steps: int):
        self.steps, self.last = steps, time.monotonic()

    def update(self, progress: Progress, task: int, step: int, record: dict) -> None:
        """Shows loss and rate."""
        status = f"loss {record['loss']:.3f}, {record['samples_per_second']:,.0f} samples/s"
        progress.update(task, status=status)
        if not console.is_terminal and time.monotonic() - self.last > LINE_SECONDS:
            self.last = time.monotonic()
            console.print(f"step {step:,} of {self.steps:,}: {status}")


def peak_flops(device: torch.device) -> float | None:
    """The peak of a GPU that is known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for part, peak in PEAKS.items() if part in name), None)
