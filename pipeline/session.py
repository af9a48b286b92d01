"""The SparkSession: embedded by default, a cluster's when submitted.

An embedded session (``python jobs/curate.py``, or ``spark-submit`` with a ``local`` master) needs no configuration: it
binds to 127.0.0.1 only, shows no web page, runs its Python workers on the interpreter that it runs on, and logs errors
alone. On a cluster, what ``spark-submit`` gives is taken and nothing of it is overridden; the package itself is shipped
to the executors.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from pipeline.java import use_java
from pipeline.paths import spark_url

PACKAGE = Path(__file__).resolve().parent

# What the stages count on; a value that the user gave stands.
DEFAULTS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.maxConcurrentOutputFileWriters": "32",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(64 << 20),
    "spark.sql.parquet.compression.codec": "zstd",
}


def open_session(master: str | None = None) -> SparkSession:
    """The session to run in: the running one, the submitted one, or an embedded one.

    ``master`` (``local[N]``) is for embedded sessions only. Raises ``UsageError`` where no Java is found.
    """
    if SparkContext._active_spark_context is not None:
        return SparkSession.builder.getOrCreate()
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    if submitted:
        SparkContext._ensure_initialized()
        given = dict(SparkConf().getAll())
        master = given.get("spark.master", "local[*]")
    else:
        use_java()
        given = {}
        master = master or "local[*]"
    builder = SparkSession.builder.master(master).appName(given.get("spark.app.name", "metaclip-pipeline"))
    local = master.startswith("local")
    for key, value in (DEFAULTS | (_embedded() if local else {})).items():
        if key not in given:
            builder = builder.config(key, value)
    if local:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    session = builder.getOrCreate()
    if local:
        session.sparkContext.setLogLevel("ERROR")
    else:
        _ship_package(session)
    return session


def _embedded() -> dict[str, str]:
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
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={(PACKAGE / 'log4j2.properties').as_uri()}",
        "spark.sql.shuffle.partitions": str(min(200, max(8, 4 * cores))),
        "spark.sql.warehouse.dir": spark_url(f"{tempfile.gettempdir()}/spark-warehouse"),
    }


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
