"""What workers are forked from: a process with all that tasks need imported, ``python -m pipeline.local.server``.

The session holds the other end of a socket, and sends it the descriptor that a new worker is to answer. When the
session has ended, however it did, this process ends with all workers, and what was on its way is removed.
"""

import contextlib
import os
import shutil
import signal
import socket
import sys
from multiprocessing.connection import Connection

ONE = b"+"  # asks for a worker


def main() -> None:
    """Forks a worker for each descriptor that comes. Arguments: the socket, and the folder of what is on its way."""
    asked, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    for number in (signal.SIGINT, signal.SIGTTOU):  # The session says when to end, and its terminal is not stopped for.
        signal.signal(number, signal.SIG_IGN)
    from pipeline.workers import prepare

    prepare(spark=False)
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, len(ONE), 1)
        if not message:
            break
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked.close()
            _work(Connection(descriptors[0]))
        os.close(descriptors[0])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # the workers, which write to the folder
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _work(session: Connection) -> None:
    """Does one task after another until the session has ended."""
    from pipeline.local.task import answer

    with contextlib.suppress(EOFError, ConnectionError):
        session.send(os.getpid())
        while True:
            session.send(answer(*session.recv()))
    os._exit(0)


def _reap(_number, _frame) -> None:
    """Takes note of workers that ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
