"""The SparkSession: embedded by default, a cluster's when submitted.

An embedded session (``python jobs/curate.py``, or ``spark-submit`` with a ``local`` master) needs no configuration: it
binds to 127.0.0.1 only, shows no web page, runs its Python workers on the interpreter that it runs on, and logs errors
alone. On a cluster, what ``spark-submit`` gives is taken and nothing of it is overridden; the package itself is shipped
to the executors.
"""

import atexit
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from py4j.java_gateway import JavaGateway
from pyspark import SparkConf, SparkContext, java_gateway
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline import class_data
from pipeline.java import use_java
from pipeline.paths import spark_url

NAME = "metaclip-pipeline"
PACKAGE = Path(__file__).resolve().parent

# What the stages count on; a value that the user gave stands.
DEFAULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.maxConcurrentOutputFileWriters": "32",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
    "spark.sql.parquet.compression.codec": "zstd",
}


_start: "_Start | None" = None


def start_session(master: str | None = None) -> None:
    """Begins to open an embedded session in the background, for ``open_session`` to wait for.

    What goes wrong is raised there. Does nothing where a session runs or was submitted.
    """
    global _start
    if _start is None and SparkContext._active_spark_context is None and "PYSPARK_GATEWAY_PORT" not in os.environ:
        _start = _Start(master)


def open_session(master: str | None = None) -> SparkSession:
    """The session to run in: the running one, that which is starting, the submitted one, or an embedded one.

    ``master`` (``local[N]``) is for embedded sessions only. Raises ``UsageError`` where no Java is found.
    """
    global _start
    if _start is not None:
        start, _start = _start, None
        start.wait()
    if SparkContext._active_spark_context is not None:
        return SparkSession.builder.getOrCreate()
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
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
    session = builder.getOrCreate()
    if local:
        session.sparkContext.setLogLevel("ERROR")
    else:
        _ship_package(session)
    return session


def _open_embedded(
    master: str | None, options: list[str] | None = None, note: Callable[[subprocess.Popen], None] | None = None
) -> SparkSession:
    """``options``: of the JVM, in place of the usual ones. ``note`` is told the JVM's process once there is one."""
    archive = class_data.archive_of(use_java())
    java = [f"-Dlog4j2.configurationFile={(PACKAGE / 'log4j2.properties').as_uri()}"]
    java += options or class_data.use(archive)
    _set_environment()
    conf = SparkConf().setMaster(master or "local[*]").setAppName(NAME).setAll((DEFAULTS | _local()).items())
    conf.set("spark.driver.extraJavaOptions", " ".join(_quoted(option) for option in java))
    if SparkContext._gateway is None and note is not None:
        SparkContext._ensure_initialized(gateway=_launch(conf, note))
    session = SparkSession.builder.config(conf=conf).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    if archive is not None and options is None:
        atexit.register(class_data.make_later, archive)
    return session


class _Start:
    """A session that is being opened in the background; a program that ends without it ends its JVM."""

    def __init__(self, master: str | None):
        self._process: subprocess.Popen | None = None
        self._error: BaseException | None = None
        self._left = False
        self._thread = threading.Thread(target=self._run, args=(master,), daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    def wait(self) -> None:
        """Until the session is open; raises what went wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self, master: str | None) -> None:
        try:
            _open_embedded(master, note=self._note)
        except BaseException as error:  # Of the thread that waits.
            self._error = error

    def _note(self, process: subprocess.Popen) -> None:
        self._process = process
        if self._left:
            process.terminate()

    def _leave(self) -> None:
        if self._thread.is_alive():
            self._left = True
            logging.disable()  # What Py4J says of a JVM that is gone.
            if self._process is not None:
                self._process.terminate()
            self._thread.join(timeout=1)  # It tidies up.


def _launch(conf: SparkConf, note: Callable[[subprocess.Popen], None]) -> JavaGateway:
    """``launch_gateway``, which keeps the process to itself until the JVM has answered."""

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


def _ship_package(session: SparkSession) -> None:
    folder = Path(tempfile.mkdtemp(prefix="metaclip-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    archive = shutil.make_archive(str(folder / "pipeline"), "zip", PACKAGE.parent, PACKAGE.name)
    session.sparkContext.addPyFile(Path(archive).as_uri())
