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
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from pipeline.errors import PipelineError
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
        self._workers: dict[Connection, int] = {}  # their process ids
        self._attempts = 0
        self._server: subprocess.Popen | None = None
        self._process = os.getpid()
        self.folder = _new_folder()
        atexit.register(self._leave)
        os.register_at_fork(after_in_child=_calls(self._forget))
        self._start()

    def run(self, job: str, tasks: Sequence[Task]) -> Iterator[tuple[int, Any]]:
        """Does the tasks of a job (a file with a ``Job``); the number of each as it ends, and what it gives.

        Raises what a task raises, and ends the tasks that run then. One job at a time.
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
            raise self._ended() from error
        finally:
            for worker in busy:  # Something went wrong.
                self._end(worker)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        seed = os.environ.get("PYTHONHASHSEED", AS_SPARK["PYTHONHASHSEED"])
        # It finds the modules that this program finds, and none besides that lie in the current folder.
        modules = os.pathsep.join(os.path.abspath(place) for place in sys.path)
        with theirs:
            # In a group of its own, so that an interrupt from the terminal is not its business.
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.local.server", str(theirs.fileno()), self.folder],
                env=os.environ | AS_SPARK | {"PYTHONHASHSEED": seed, "PYTHONPATH": modules},
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
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

    def _ended(self) -> Exception:
        """What to raise where a worker, or the server, is gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (code := self._server.wait(timeout=0.5)) > 0:
                return PipelineError(f"the process that does the tasks ended with code {code}; see what it said above")
        return RuntimeError(ENDED)

    def _end(self, worker: Connection) -> None:
        """Ends a worker in the midst of a task."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._workers.pop(worker), signal.SIGKILL)
        worker.close()

    def _forget(self) -> None:
        """In a process that was forked from this one: the workers are not its own, and end when the other ends."""
        for end in (*self._workers, self._asked):
            end.close()
        self._workers, self._server = {}, None

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


def _calls(method: Callable[[], None]) -> Callable[[], None]:
    """A method, for as long as there is its object."""
    weak = weakref.WeakMethod(method)
    return lambda: (found := weak()) and found()


def _raised(error: BaseException | None, told: str) -> BaseException:
    """What a worker raised, with its stack."""
    if error is None:
        return RuntimeError(told)
    error.__cause__ = RuntimeError(f"\n{told}")
    return error


def _new_folder() -> str:
    """A folder where Spark would keep what is on its way: the first place of those that can be written."""
    for place in os.environ.get("SPARK_LOCAL_DIRS", "").split(","):
        if place:
            with contextlib.suppress(OSError):
                return tempfile.mkdtemp(prefix="metaclip-", dir=place)
    return tempfile.mkdtemp(prefix="metaclip-")
