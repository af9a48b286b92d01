"""The processes that do the tasks of a session, as many at a time as it has cores."""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from pipeline.handover import AS_SPARK
from pipeline.local import machine
from pipeline.local.server import ONE

ENDED = "Python worker exited unexpectedly"  # as Spark says it

# A task: which functions of the job, and its source.
Task = tuple[int, Callable]


class Workers:
    """Workers, forked from a server that starts at once."""

    def __init__(self, cores: int | None = None):
        """``cores``: so many tasks at a time; by default as many as this process may use.

        There is a ``folder`` for what is on its way, until the session ends.
        """
        self.cores = cores or machine.cores()
        self.folder = tempfile.mkdtemp(prefix="metaclip-", dir=_local_folder())
        self._workers: dict[Connection, int] = {}  # their process ids
        self._attempts = 0
        self._server: subprocess.Popen | None = None
        self._start()
        self._process = os.getpid()
        atexit.register(self._leave)

    def run(self, job: str, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Does the tasks of a job (a file with a ``Job``); the number of each as it ends, and what it gives.

        Raises what a task raises, and ends the tasks that run then.
        """
        left, busy = deque(range(len(tasks))), {}
        try:
            self._fork(min(self.cores, len(tasks)))
            idle = list(self._workers)
            while left or busy:
                while left and idle:
                    worker, number = idle.pop(), left.popleft()
                    self._attempts += 1
                    busy[worker] = number
                    worker.send((job, *tasks[number], number, self._attempts))
                for worker in wait(list(busy)):
                    went_well, found = worker.recv()
                    number = busy.pop(worker)
                    idle.append(worker)
                    if not went_well:
                        raise _raised(*found)
                    yield number, found
        except (EOFError, ConnectionError) as error:
            raise RuntimeError(ENDED) from error
        finally:
            for worker in busy:  # Something went wrong.
                self._end(worker)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        seed = os.environ.get("PYTHONHASHSEED", AS_SPARK["PYTHONHASHSEED"])
        # In a group of its own, so that an interrupt from the terminal is not its business.
        self._server = subprocess.Popen(
            [sys.executable, "-m", "pipeline.local.server", str(theirs.fileno()), self.folder],
            env=os.environ | AS_SPARK | {"PYTHONHASHSEED": seed},
            stdin=subprocess.DEVNULL,
            stdout=2,
            pass_fds=[theirs.fileno()],
            process_group=0,
        )
        theirs.close()
        self._asked = ours

    def _fork(self, count: int) -> None:
        if self._server is None or self._server.poll() is not None:
            self.close()
            self._start()
        while len(self._workers) < count:
            ours, theirs = socket.socketpair()
            with theirs:
                socket.send_fds(self._asked, [ONE], [theirs.fileno()])
            worker = Connection(ours.detach())
            self._workers[worker] = worker.recv()

    def _end(self, worker: Connection) -> None:
        """Ends a worker in the midst of a task."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._workers.pop(worker), signal.SIGKILL)
        worker.close()

    def _leave(self) -> None:
        if os.getpid() == self._process:  # and not one that was forked from it
            self.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Ends all processes; the next tasks get new ones."""
        if self._server is None:
            return
        # Before it sees that the session has ended, and removes what is on its way.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.kill()
        self._server.wait()
        self._server = None
        for end in (*self._workers, self._asked):
            end.close()
        self._workers = {}


def _raised(error: BaseException | None, told: str) -> BaseException:
    """What a worker raised, with its stack."""
    if error is None:
        return RuntimeError(told)
    error.__cause__ = RuntimeError(f"\n{told}")
    return error


def _local_folder() -> str:
    """Where Spark would keep what is on its way."""
    return os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
