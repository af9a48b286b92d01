"""The process that Python workers are forked from, started ahead of the one that Spark starts, whose work it does.

Spark starts that process for its first task, which then waits two seconds for its imports. So a session starts one of
its own with the JVM (``start``). Spark's gives it streams, arguments, environment and folder, and stays until it ends
(``hand_over``); it goes on as if Spark had started it (``take_over``). Where that cannot be Spark's imports for itself.
"""

import atexit
import contextlib
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

# In the environment: where Spark's process finds the one that was started ahead.
PLACE = "METACLIP_WORKERS"
# What Spark's process is started with, which one that runs already cannot take in.
AS_SPARK = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "YES"}
# The name of a socket has at most 104 bytes on some systems; so many are left for the temporary folder.
MOST_FOLDER = 70
STREAMS, LENGTH, TAKEN = (0, 1, 2), struct.Struct("q"), b"+"

_process: "subprocess.Popen | None" = None
_connection: "socket.socket | None" = None


def start(module: str) -> None:
    """Starts ``module`` ahead, once; to be called before the JVM starts. It ends with this process."""
    global _process
    if _process is not None or not hasattr(socket, "send_fds"):
        return
    if len(os.fsencode(tempfile.gettempdir())) > MOST_FOLDER:
        return
    folder = tempfile.mkdtemp(prefix="metaclip-")
    atexit.register(_leave, folder)
    os.environ[PLACE] = os.path.join(folder, "workers")
    seed = os.environ.get("PYTHONHASHSEED", AS_SPARK["PYTHONHASHSEED"])
    # In a group of its own, so that an interrupt from the terminal is not its business.
    _process = subprocess.Popen(
        [sys.executable, "-m", module],
        env=os.environ | AS_SPARK | {"PYTHONHASHSEED": seed},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        process_group=0,
    )


def _leave(folder: str) -> None:
    """Ends the process at once where no other has asked for it; else it ends with that one."""
    if os.path.exists(folder) and _process is not None:
        _process.kill()
        _process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def listen() -> "socket.socket | None":
    """What Spark's process finds; None where this process was not started ahead."""
    place = os.environ.get(PLACE)
    if len(sys.argv) > 1 or not place:
        return None
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(1)
    return listener


def take_over(listener: socket.socket) -> bool:
    """Waits for Spark's process, and becomes it; False where the session ended before.

    In both cases the folder of the place goes: that it is gone says that this process is asked for.
    """
    global _connection
    is_asked = listener in select.select([listener, sys.stdin], [], [])[0]
    if is_asked:
        _connection, _ = listener.accept()
    listener.close()
    shutil.rmtree(os.path.dirname(os.environ[PLACE]), ignore_errors=True)
    if not is_asked:
        return False
    size, streams, _, _ = socket.recv_fds(_connection, LENGTH.size, len(STREAMS))
    with _connection.makefile("rb") as given:
        found = json.loads(given.read(LENGTH.unpack(size)[0]))
    for stream, place in zip(streams, STREAMS, strict=True):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(found["environment"])
    os.chdir(found["folder"])
    sys.argv[1:] = found["arguments"]
    _connection.sendall(TAKEN)
    return True


def hand_over() -> bool:
    """Lets the process that was started ahead do the work of this one, until it ends; False where there is none."""
    place = os.environ.get(PLACE)
    if not place or not os.path.exists(place):
        return False
    found = {"environment": dict(os.environ), "arguments": sys.argv[1:], "folder": os.getcwd()}
    given = json.dumps(found).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(place)
            socket.send_fds(connection, [LENGTH.pack(len(given))], STREAMS)
            connection.sendall(given)
            if connection.recv(len(TAKEN)) != TAKEN:
                return False
        except OSError:
            return False
        with contextlib.suppress(OSError):
            connection.recv(1)
    return True
