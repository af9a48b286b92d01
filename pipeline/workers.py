"""Where the Python workers of an embedded session are forked: pyspark's daemon, with what tasks need imported before.

A worker then shares these modules with the others and starts with them, and does not import each for itself. Run by
the session as ``python -m pipeline.workers``, ahead of Spark (``spark.python.daemon.module``), which runs ``python -m
pipeline.workers pyspark.worker`` and finds the former ready (``handover.py``).
"""

import gc
import os
from collections.abc import Callable

from pipeline.handover import hand_over, listen, take_over


def prepare(spark: bool = True) -> None:
    """Imports what tasks need, of Spark or not."""
    import pandas  # noqa: F401, Arrow imports it for any array that is made of Python values.
    import pyarrow.parquet  # noqa: F401

    if spark:
        import pyspark.worker  # noqa: F401

    import pipeline.balance.stage
    import pipeline.dedupe.stage
    import pipeline.ingest.stage
    import pipeline.match.stage  # noqa: F401
    from pipeline.failure import tell_once

    tell_once()
    # A worker collects garbage after each task. Over all that is imported here that took 80 ms of the CPU each time.
    gc.collect()
    gc.freeze()


def main() -> None:
    """Serves Spark, once it asks; or lets the process that is ready do it."""
    listener = listen()
    if listener is None and hand_over():
        return
    prepare()
    if listener is None or take_over(listener):
        from pyspark import daemon

        daemon.worker = _quietly(daemon.worker)
        daemon.manager()


def _quietly(worker: Callable) -> Callable:
    """A worker whose connection Spark has closed ends: at an interrupt, pyspark's own would show its stack."""

    def work(*arguments):
        try:
            return worker(*arguments)
        except ConnectionError:
            os._exit(1)

    return work


if __name__ == "__main__":
    main()
