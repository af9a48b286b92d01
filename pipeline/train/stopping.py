"""SIGTERM and SIGINT: the step is finished, a checkpoint written, and the run ends; a second one ends it at once."""

import atexit
import multiprocessing
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Within a ``with`` block, the number of the signal that asked the run to stop, or None."""

    def __init__(self):
        self.number: int | None = None
        self.former: dict[int, object] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            self.former = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_) -> None:
        for number, former in self.former.items():
            signal.signal(number, former)

    def _note(self, number: int, _frame) -> None:
        self.number = number
        for each in self.former:
            signal.signal(each, signal.SIG_DFL)


def kill_workers() -> None:
    """Kills the loader's workers that are left at the end of the process, as what would end them is a SIGTERM."""
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


atexit.register(kill_workers)


def ignore_signals(_worker: int) -> None:
    """Makes a loader's worker go on, for the process that it works for ends in its own time, and the worker with it.

    A terminal's SIGINT and a scheduler's SIGTERM are sent to all processes.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
