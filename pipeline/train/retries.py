"""Doing again what a network may let through at the next try."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import PipelineError
from pipeline.paths import shown

Result = TypeVar("Result")
TRIES, FIRST_WAIT, LONGEST_WAIT = 10, 0.25, 30.0  # a minute and a half in all, of a server that answers at once


class Passing(Exception):
    """What may be otherwise at the next try; ``wait``: the seconds that the server asks for."""

    def __init__(self, message: str, wait: float = 0):
        super().__init__(message)
        self.wait = wait


class NotGiven(OSError):
    """What a server does not give, and will not at the next try."""


def retried(url: str, work: Callable[[], Result], progress: Callable[[], int] = lambda: 0) -> Result:
    """What some work gives, which is done again where a ``Passing`` ends it, after a wait that doubles.

    Tries count from the last at which ``progress`` was made. Raises ``PipelineError`` when they are used up: that is no
    fault of a sample.
    """
    tries, before = 0, progress()
    while True:
        try:
            return work()
        except Passing as error:
            if progress() > before:
                tries, before = 0, progress()
            tries += 1
            if tries == TRIES:
                raise PipelineError(f"{shown(url)}: {error}, {TRIES} times") from None
            wait = FIRST_WAIT * 2 ** (tries - 1) * random.uniform(0.5, 1)
            time.sleep(min(LONGEST_WAIT, max(error.wait, wait)))
