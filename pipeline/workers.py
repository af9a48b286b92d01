"""Where the Python workers of an embedded session are forked: pyspark's daemon, with what tasks need imported before.

A worker then shares these modules with the others and starts with them, and does not import each for itself. Run by
Spark (``spark.python.daemon.module``) as ``python -m pipeline.workers pyspark.worker``.
"""

import gc

import pandas  # noqa: F401, Arrow imports it for any array that is made of Python values.
import pyarrow.parquet  # noqa: F401
import pyspark.worker  # noqa: F401
from pyspark.daemon import manager

import pipeline.balance.stage
import pipeline.dedupe.stage
import pipeline.ingest.stage
import pipeline.match.stage  # noqa: F401
from pipeline.failure import tell_once

if __name__ == "__main__":
    tell_once()
    # A worker collects garbage after each task. Over all that is imported here that took 80 ms of the CPU each time.
    gc.collect()
    gc.freeze()
    manager()
