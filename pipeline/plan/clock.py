"""The CPU time of the parts of a forecast, from which the times of a run follow."""

import contextlib
import time
from collections.abc import Iterator


class Clock:
    """Adds up this process's CPU seconds by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Counts what is done within a ``with`` block."""
        started = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started
