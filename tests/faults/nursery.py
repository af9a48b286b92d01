"""Runs commands, each in a process forked from one that has all modules, so that one costs a fraction of a second.

``python -m tests.faults.nursery`` under the shim: a line of JSON asks for a command, another says how it ended. The
forked process is the driver: it may fail, hang or die, and the next one starts afresh. With ``spark`` there is a session
of one task at a time, to whose JVM each has connections of its own; with ``plain`` there is none, and the stages are
the small ones of ``tests/e2e/test_kills.py``, so that all that is left is what a run does around them.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import deque

LIMIT = int(os.environ.get("FAULT_SECONDS", "300"))
# Compiled plans and many partitions are for more rows than a few dozens.
QUICK = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}


def main() -> None:
    """Answers until its input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    session = _with_session() if sys.argv[1] == "spark" else _without_session()
    for line in sys.argv[2:]:
        _warm(json.loads(line))
    print("{}", file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(session, asked)
        code = _wait(child)
        busy = session is not None and _settle(session)
        print(json.dumps({"code": code, "busy": busy}), file=answers)


def _with_session():
    from pipeline.session import open_session

    session = open_session("local[1]")
    for name, value in QUICK.items():
        session.conf.set(name, value)
    return session


def _without_session() -> None:
    from pipeline import curate, engine, stages
    from tests.e2e.test_kills import small

    stages.STAGES = tuple(map(small, stages.STAGES))
    engine.start = curate._session = lambda _: None


def _warm(arguments: list[str]) -> None:
    """Runs a command in this process, so that those that are forked from it have all modules and kernels."""
    with contextlib.suppress(SystemExit):
        _command(arguments)


def _command(arguments: list[str]) -> None:
    from pipeline.command.main import main as command
    from pipeline.failure import in_words
    from pipeline.job import new_app, run

    if arguments[0] != "call":
        sys.argv = ["metaclip-pipeline", *arguments]
        command()
    else:
        from tests.faults.calls import CALLS

        _, name, work, _, output, *_ = arguments
        app = new_app()

        @app.command()
        def call() -> None:
            with in_words(output, name):
                CALLS[name](output, work)

        sys.argv = [name]
        run(app)


def _run(session, asked: dict) -> None:
    if session is not None:
        client = session.sparkContext._gateway._gateway_client
        client.deque, client.thread_connection = deque(), threading.local()
    for descriptor in (1, 2):
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, descriptor)
    if memory := asked.get("memory"):
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + memory,) * 2)
    code = 99
    try:
        _command(asked["arguments"])
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _wait(child: int) -> int:
    """Its exit code, or the signal that ended it as a negative number; one that hangs is killed: -100."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.003)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -100


def _settle(session) -> bool:
    """Ends the tasks of a driver that died, as the JVM of one of its own would; whether some go on."""
    store = session.sparkContext._jsc.sc().statusStore()
    if not store.executorList(True).apply(0).activeTasks():
        return False
    session.sparkContext.cancelAllJobs()
    end = time.monotonic() + LIMIT
    while store.executorList(True).apply(0).activeTasks():
        if time.monotonic() > end:
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    main()
