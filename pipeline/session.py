"""The SparkSession: embedded by default, a cluster's when submitted.

An embedded session (``python jobs/curate.py``, or ``spark-submit`` with a ``local`` master) needs no configuration: it
binds to 127.0.0.1 only, shows no web page, runs its Python workers on the interpreter that it runs on, and logs errors
alone. On a cluster, what ``spark-submit`` gives is taken and nothing of it is overridden; the package itself is shipped
to the executors.
"""

import atexit
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from py4j.java_gateway import JavaGateway
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext, java_gateway
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline import class_data, handover
from pipeline.engine import submitted
from pipeline.failure import not_started
from pipeline.java import use_java
from pipeline.job import is_command, stop, stop_by
from pipeline.paths import spark_url
from pipeline.shipping import ship_package

NAME, WORKERS = "metaclip-pipeline", "pipeline.workers"
PACKAGE = Path(__file__).resolve().parent

# What the stages count on; a value that the user gave stands.
DEFAULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.maxConcurrentOutputFileWriters": "32",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
    "spark.sql.parquet.compression.codec": "zstd",
}
CANCEL_EVERY = 0.2  # seconds
# What goes wrong where Java refuses, or has ended.
NOT_STARTED = (Py4JError, PySparkException, ConnectionError)

_start: "_Start | None" = None


def start_session(master: str | None = None) -> None:
    """Starts the JVM of an embedded session in the background; ``open_session`` waits for it.

    ``master``: ``local[N]``; by default as many tasks run at a time as there are cores. What goes
    wrong is raised there; a program that ends before ends the JVM too. Does nothing where there is a JVM.
    """
    global _start
    if _start is None and SparkContext._gateway is None and not submitted():
        _start = _Start(master)


def open_session(master: str | None = None) -> SparkSession:
    """The session to run in: the running one, the submitted one, or an embedded one.

    ``master`` (``local[N]``) is for embedded sessions only. Raises ``UsageError`` where no Java is found.
    """
    if _start is not None:
        _start.wait()
    if SparkContext._active_spark_context is not None:
        return SparkSession.builder.getOrCreate()
    if not submitted():
        return _open_embedded(master)
    SparkContext._ensure_initialized()
    given = dict(SparkConf().getAll())
    master = given.get("spark.master", "local[*]")
    local = master.startswith("local")
    builder = SparkSession.builder.master(master).appName(given.get("spark.app.name", NAME))
    for key, value in (DEFAULTS | (_local() if local else {})).items():
        if key not in given:
            builder = builder.config(key, value)
    if local:
        _set_environment()
    session = _opened(builder)
    if local:
        session.sparkContext.setLogLevel("ERROR")
    else:
        ship_package(session)
    return session


def _open_embedded(master: str | None, options: list[str] | None = None) -> SparkSession:
    """``options``: of the JVM, in place of the usual ones."""
    archive = class_data.archive_of(use_java())
    session = _session_of(_embedded(master, options or class_data.use(archive)))
    if is_command():  # What ends then. A notebook goes on, with PySpark's handler.
        _cancel_at_interrupt()
    if archive is not None and options is None:
        atexit.register(class_data.make_later, archive)
    return session


def _session_of(conf: SparkConf) -> SparkSession:
    session = _opened(SparkSession.builder.config(conf=conf))
    session.sparkContext.setLogLevel("ERROR")
    return session


def _opened(builder: SparkSession.Builder) -> SparkSession:
    try:
        return builder.getOrCreate()
    except NOT_STARTED as error:
        raise not_started(error, getattr(SparkContext._gateway, "proc", None)) from error


def _cancel_at_interrupt() -> None:
    """Lets an interrupt end Spark's jobs at once.

    PySpark's own handler asks for that once, by the connection of the main thread, which may be in the middle of a
    call; and a job that is only planned then is waited for to its end.
    """

    def cancel_all():
        with contextlib.suppress(Exception):
            while True:
                SparkContext._active_spark_context.cancelAllJobs()
                time.sleep(CANCEL_EVERY)

    def cancel(number, _frame):
        logging.disable()  # What Py4J and PySpark say of connections that end now.
        threading.Thread(target=cancel_all, daemon=True).start()  # A thread has a connection of its own.
        stop(number)

    stop_by(cancel)


def _embedded(master: str | None, options: list[str]) -> SparkConf:
    _set_environment()
    handover.start(WORKERS)
    conf = SparkConf().setMaster(master or "local[*]").setAppName(NAME).setAll((DEFAULTS | _local()).items())
    conf.set("spark.python.daemon.module", WORKERS)  # A submitted one may have the package from --py-files.
    options = [f"-Dlog4j2.configurationFile={(PACKAGE / 'log4j2.properties').as_uri()}", *options]
    return conf.set("spark.driver.extraJavaOptions", " ".join(_quoted(option) for option in options))


class _Start:
    """The start of a JVM in a thread. There is no SparkContext yet, so that it can be ended at any time."""

    def __init__(self, master: str | None):
        self._master = master
        handover.start(WORKERS)
        self._process: subprocess.Popen | None = None
        self._error: BaseException | None = None
        self._left = False
        # An interrupt of ``join`` makes a thread that still runs look like one that has ended (Python 3.11).
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    def wait(self) -> None:
        """Until the JVM is there; raises what went wrong."""
        global _start
        self._ended.wait()
        _start = None
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            conf = _embedded(self._master, class_data.use(class_data.archive_of(use_java())))
            SparkContext._ensure_initialized(gateway=_launch(conf, self._note))
        except NOT_STARTED as error:
            self._error = not_started(error, self._process)
        except BaseException as error:  # Of the thread that waits.
            self._error = error
        finally:
            self._ended.set()

    def _note(self, process: subprocess.Popen) -> None:
        self._process = process
        if self._left:
            process.kill()

    def _leave(self) -> None:
        if not self._ended.is_set():
            logging.disable()  # Py4J would say that the connection has ended.
            self._left = True
            if self._process is not None:
                self._process.kill()
            self._ended.wait(timeout=1)  # It tidies up.


def _launch(conf: SparkConf, note: Callable[[subprocess.Popen], None]) -> JavaGateway:
    """``launch_gateway``, which keeps its process to itself until the JVM has answered."""

    def popen(*arguments, **options):
        process = subprocess.Popen(*arguments, **options)
        note(process)
        return process

    java_gateway.Popen = popen
    try:
        return java_gateway.launch_gateway(conf)
    finally:
        java_gateway.Popen = subprocess.Popen


def record_classes(options: list[str]) -> bool:
    """Runs small jobs in an embedded session with these options of the JVM, which writes an archive as it ends.

    Returns whether it ended well.
    """
    session = _open_embedded("local[2]", options)
    with tempfile.TemporaryDirectory() as folder:
        rows = session.range(0, 100, 1, 2).mapInArrow(lambda batches: batches, "id bigint")
        rows.repartition(2, "id").sortWithinPartitions("id").mapInArrow(lambda batches: batches, "id bigint").toArrow()
        rows.write.mode("overwrite").parquet(spark_url(f"{folder}/a"))
        found = session.read.parquet(spark_url(f"{folder}/a"))
        found.groupBy((F.col("id") % 7).alias("k")).agg(F.sum("id").alias("n")).join(
            found, F.col("k") == F.col("id")
        ).collect()
        found.unionByName(rows).dropDuplicates(["id"]).orderBy("id").count()
    session.stop()
    process = SparkContext._gateway.proc
    SparkContext._gateway.shutdown()
    process.stdin.close()
    return process.wait() == 0


def _local() -> dict[str, str]:
    cores = os.cpu_count() or 1
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.pyspark.python": sys.executable,
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.memory": f"{max(1, _memory_gib() // 2)}g",
        "spark.driver.maxResultSize": "0",
        "spark.sql.shuffle.partitions": str(min(200, max(8, 4 * cores))),
        "spark.sql.warehouse.dir": spark_url(f"{tempfile.gettempdir()}/spark-warehouse"),
    }


def _set_environment() -> None:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


def _quoted(option: str) -> str:
    """An option as Spark splits them."""
    return '"' + option.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _memory_gib() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    except (ValueError, OSError):
        return 4
