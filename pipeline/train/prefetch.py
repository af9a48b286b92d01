"""The next batch made ready beside the step: a thread collates it, in pinned memory, and copies it to the GPU.

The copy is on a stream of its own, so that it takes place while the step before computes.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.train.loader import Batch

AHEAD = 1  # batches that are ready; one more is being made


class Prefetcher:
    """Batches on the device, one ahead. ``close`` ends the thread and the workers behind it."""

    def __init__(self, batches: Generator[Batch], device: torch.device):
        """``batches``: in pinned memory where the device is a GPU."""
        self.batches = batches
        self.copies = CudaCopies(device) if device.type == "cuda" else None
        self.ready: queue.Queue = queue.Queue(AHEAD)
        self.closed, self.held = threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self._run, name="prefetch", daemon=True)

    def __iter__(self) -> "Prefetcher":
        return self

    def __next__(self) -> Batch:
        if self.thread.ident is None:
            self.thread.start()  # Only now: workers are forked while this thread does nothing but wait.
        found = self.ready.get()
        if isinstance(found, BaseException):
            self.closed.set()
            raise found
        batch, copied = found
        if self.copies is not None:
            self.copies.wait(batch, copied)
        return batch

    def close(self) -> None:
        """Ends the thread."""
        self.closed.set()
        if self.thread.ident is not None:
            self.thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keeps the thread from making batches: processes may be forked, and cores are free."""
        with self.held:
            yield

    def _run(self) -> None:
        try:
            while True:
                with self.held:
                    batch = next(self.batches)
                if not self._put((batch, None) if self.copies is None else self.copies.start(batch)):
                    return
        except BaseException as error:  # It is raised where the batch is asked for.
            self._put(error)
        finally:
            self.batches.close()  # The workers end with it.

    def _put(self, item: Any) -> bool:
        """Whether the item was taken before the prefetcher was closed."""
        while not self.closed.is_set():
            try:
                self.ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


class CudaCopies:
    """Copies of batches from pinned memory to a GPU, on a stream of their own."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, torch.cuda.Stream(device)

    def start(self, batch: Batch) -> tuple[Batch, Any]:
        """The batch on the GPU as it will be when the event that comes with it has happened."""
        with torch.cuda.stream(self.stream):
            images = batch.images.to(self.device, non_blocking=True)
            ids = batch.ids.to(self.device, non_blocking=True)
        return Batch(images, ids, batch.keys, batch.broken, batch.mark), self.stream.record_event()

    def wait(self, batch: Batch, copied: Any) -> None:
        """Lets the stream of the step wait for a copy; this thread goes on."""
        step = torch.cuda.current_stream(self.device)
        step.wait_event(copied)
        for tensor in (batch.images, batch.ids):
            tensor.record_stream(step)  # Its memory is not used again before the step is through with it.
