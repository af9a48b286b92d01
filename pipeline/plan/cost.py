"""The core-seconds, seconds and memory of a run, from what the same work took on the sample.

A stage does the sample's work and more: it writes tables, moves rows, starts tasks. How many times as much that is was
measured on whole runs (``python -m benchmarks.cost``), and holds on any machine as far as all of it gets faster alike.
"""

from dataclasses import dataclass

from pipeline import engine
from pipeline.buckets.keys import bucket_count

# A stage's core-seconds for each of the sample's for the same rows, and for each million rows beside those; and what
# Spark takes more.
TIMES = {"languages": 1.1, "ingest": 1.3, "match": 1.1, "dedupe": 1.2}
PER_MILLION = {"ingest": 0.5, "match": 1.6, "dedupe": 3.2, "balance": 3.4, "filter": 4.0, "rebalance": 3.5}
SPARK_MORE = {"ingest": 1.4, "match": 0.6, "dedupe": 3.5, "balance": 0.5, "rebalance": 0.5}
# A shard's sample that is read from a disk and written, two SHA-256 included; for each megabyte and each sample.
PER_MEGABYTE, PER_SAMPLE = 0.0016, 0.00008
# The start and the report, and those of a stage with the records at its end; with Spark, and with its executors.
START_SECONDS, STAGE_SECONDS = 3.0, 0.4
SPARK_SECONDS, SPARK_STAGE_SECONDS, EXECUTOR_SECONDS = 7.0, 1.0, 15.0
BUSY = 0.85  # the share of a run in which a core has work
SHUFFLED = {"ingest": 0.03, "match": 0.4, "dedupe": 33.0, "balance": 0.4}  # MB through Spark's shuffle a million rows
# Bytes of the JVM, small and at its most, and for each row; of the driver's Python.
JVM, JVM_ROW, MOST_JVM, DRIVER = 450e6, 200.0, 950e6, 350e6
# Bytes of a worker without rows, and how often it holds the hashes that a task of `dedupe` compares, at most so many;
# with Spark; and how often it holds a bucket's bytes.
WORKER, HASHES_HELD, TASK_HASHES = 200e6, 3.3, 72e6
SPARK_WORKER, SPARK_HASHES_HELD = 250e6, 4.7
HELD = 1.0
DRIVER_ENTRY, WORKER_ENTRY = 60, 16
LEAST_JVM, LEAST_PYTHON = 400e6, 90e6


@dataclass(frozen=True)
class Cores:
    """What runs the tasks: cores of this machine, or of each of some executors."""

    executors: int
    cores: int

    @property
    def all(self) -> int:
        """All cores."""
        return max(1, self.executors) * self.cores

    @classmethod
    def here(cls) -> "Cores":
        """This machine's."""
        return cls(0, engine.cores())


def core_seconds(stage: str, rows: float, of_sample: dict[str, float], scale: float) -> float:
    """A stage's. ``of_sample``: the sample's, by name; ``scale``: all rows over those of the sample."""
    measured = sum(TIMES.get(name, 1.0) * seconds for name, seconds in of_sample.items())
    return measured * scale + PER_MILLION.get(stage, 0.0) * rows / 1e6


def seconds(work: dict[str, float], rows: dict[str, float], tasks: float, cores: Cores, spark: bool) -> float:
    """How long stages take on some cores, of which as many have work as there are tasks.

    ``work``: core-seconds by stage, ``rows``: the rows into each; ``spark``: whether this machine needs it.
    """
    at_once = max(1.0, min(cores.all, tasks))
    if not spark and not cores.executors:
        return START_SECONDS + sum(STAGE_SECONDS + spent / (at_once * BUSY) for spent in work.values())
    more = sum(SPARK_MORE.get(name, 0.0) * rows_in / 1e6 for name, rows_in in rows.items())
    start = EXECUTOR_SECONDS if cores.executors else SPARK_SECONDS
    return start + SPARK_STAGE_SECONDS * len(work) + (sum(work.values()) + more) / (at_once * BUSY)


def memory_of_worker(rows: float, row_bytes: float, entries: int, hashes: float, spark: bool) -> float:
    """Of a Python worker, for a pool of so many rows of a size in memory, and bytes of ``hashes`` of their texts."""
    buckets = bucket_count(round(rows), round(rows * row_bytes))
    worker, held = (SPARK_WORKER, SPARK_HASHES_HELD) if spark else (WORKER, HASHES_HELD)
    compared = held * min(hashes, TASK_HASHES)
    return worker + HELD * rows * row_bytes / buckets + compared + WORKER_ENTRY * entries


def least_memory(cores: Cores, spark: bool) -> float:
    """What no run on this machine goes without, whatever its input."""
    return LEAST_JVM * spark + LEAST_PYTHON * (2 + cores.cores)


def memory_here(rows: float, worker: float, entries: int, cores: Cores, spark: bool) -> float:
    """Of a run on this machine: the driver and a worker a core, and Spark's JVM."""
    java = min(MOST_JVM, JVM + JVM_ROW * rows) if spark else 0.0
    return java + DRIVER + DRIVER_ENTRY * entries + cores.cores * worker


def buckets_of(rows: float, size: float) -> int:
    """The number of a pool's buckets, which is that of its tasks."""
    return bucket_count(round(rows), round(size))
