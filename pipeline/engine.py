"""What does the tasks of a run: processes of this machine (``pipeline.local``), or Spark.

On one machine it is processes, without Java, unless a stage needs Spark's DataFrames. It is Spark where
``spark-submit`` gives the session, where the calling program has one, and where Spark is configured
(``SPARK_CONF_DIR``, ``PYSPARK_SUBMIT_ARGS``). Tables and shards are the same, byte for byte.
"""

import os
import re
import socket
import sys
import threading
from typing import Any

from pipeline.errors import UsageError
from pipeline.local import machine

Session = Any  # a LocalSession or a SparkSession
VARIABLE = "METACLIP_ENGINE"
AUTO, LOCAL, SPARK = "auto", "local", "spark"
ALLOWED = f"{AUTO}, {LOCAL}, {LOCAL}[N] with N tasks at a time, {SPARK}"
CONFIGURED = ("SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")

_chosen: str | None = None
_session: Session = None
_starts = threading.Lock()


def choose(engine: str | None) -> None:
    """Sets the engine of this process, in place of the environment's. Raises ``UsageError`` for none that is known."""
    global _chosen
    _check(engine, "--engine")
    _chosen = engine


def submitted() -> bool:
    """Whether ``spark-submit`` gives the session, so that what it runs on is not known here."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def start(needs_spark: bool) -> None:
    """Starts the engine in the background, so that it starts while everything is looked at."""
    if not is_local(needs_spark):
        from pipeline.session import start_session

        start_session(_master())
    else:
        _local()


def open_engine(needs_spark: bool) -> Session:
    """The session that tasks run in: this program's own, or Spark's.

    ``needs_spark``: whether a stage makes DataFrames. Raises ``UsageError`` where the engine is none that is known, and
    where Spark is needed and no Java is found.
    """
    if is_local(needs_spark):
        return _local()
    from pipeline.session import open_session

    return open_session(_master())


def is_local(needs_spark: bool) -> bool:
    """Whether the tasks of a run are done by processes of this machine, without Java."""
    engine = _chosen or os.environ.get(VARIABLE) or AUTO
    _check(engine, VARIABLE)
    if needs_spark or engine == SPARK or submitted() or not hasattr(socket, "send_fds"):
        return False
    return engine != AUTO or not (any(map(os.environ.get, CONFIGURED)) or _has_spark())


def _has_spark() -> bool:
    """Whether this program has a SparkContext."""
    context = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    return context is not None and context._active_spark_context is not None


def _local() -> Session:
    """The session of this process, which starts with the first call."""
    global _session
    with _starts:
        return _session or _started()


def _started() -> Session:
    global _session
    from pipeline.local.workers import Workers

    workers = Workers(_cores())  # They start while the rest is imported.
    from pipeline.local.session import LocalSession

    _session = LocalSession(workers)
    return _session


def _master() -> str | None:
    cores = _cores()
    return cores and f"local[{cores}]"


def cores() -> int:
    """How many tasks run at a time on this machine."""
    return _cores() or machine.cores()


def _cores() -> int | None:
    found = re.fullmatch(rf"{LOCAL}\[([1-9]\d*)\]", _chosen or os.environ.get(VARIABLE) or AUTO)
    return int(found[1]) if found else None


def _forget() -> None:
    """The session is that of the process that this one was forked from."""
    global _session, _starts
    _session, _starts = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _check(engine: str | None, option: str) -> None:
    if engine is not None and not re.fullmatch(rf"{AUTO}|{SPARK}|{LOCAL}(\[[1-9]\d*\])?", engine):
        raise UsageError(f"{option}: found {engine!r}; allowed: {ALLOWED}")
