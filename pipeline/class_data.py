"""The class-data archive: Spark's Java classes as the JVM holds them in memory, so that a later start maps them.

Without one an embedded session reads and checks fifteen thousand classes at each start. The archive is a file of some
190 MB in this environment, beside the wrapper of its Java, and is named by all that it depends on. It is made after
the first run by a process of its own (``python -m pipeline.class_data ARCHIVE``) that nobody waits for: it opens a
session as the stages do, runs small jobs, and lets the JVM write what it has loaded to a temporary file, which takes
its place when the JVM has ended well. Where that fails, an empty file says so, and nothing is tried again. A JVM that
finds an archive of something else starts without it.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from pipeline.java import full_version, use_java

PACKAGE = Path(__file__).resolve().parent
BASE = "base.jsa"
KEPT = 2  # archives of other versions, which other shells may use
# Bulk data does not go through the JVM, so it is made for starting: the quick compiler alone, a collector with no
# threads of its own, and a heap that grows from small. Not logged: warnings of archives, whose tags differ by version.
OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms128m", "-Xshare:auto", "-Xlog:disable")


def archive_of(home: Path) -> Path | None:
    """Where the archive of the wrapped Java of a home is or will be; None for a Java outside this environment."""
    if home.resolve().parent != (Path(sys.prefix) / "java").resolve() or ":" in str(home):
        return None
    spark = spark_home()
    parts = [str(spark), os.environ.get("SPARK_CONF_DIR", ""), *OPTIONS]
    for file in ((home / "lib" / "server" / "libjvm.so"), *sorted((spark / "jars").glob("*.jar"))):
        with contextlib.suppress(OSError):
            found = file.stat()
            parts.append(f"{file.name} {found.st_size} {found.st_mtime_ns}")
    java, rest = full_version((home / "lib").resolve().parent), zlib.crc32(os.fsencode("\0".join(parts)))
    return home / f"spark-{version('pyspark')}-java-{java}-{rest:08x}.jsa"


def spark_home() -> Path:
    """The folder of the Spark that a session starts: ``SPARK_HOME``, else that in the package pyspark."""
    return Path(os.environ.get("SPARK_HOME") or Path(find_spec("pyspark").origin).parent)


def use(archive: Path | None) -> list[str]:
    """The JVM options of a session: an archive is used where there is one."""
    if archive is None or not _is_made(archive):
        return [*OPTIONS]
    base = archive.with_name(BASE)
    files = f"{base}:{archive}" if base.exists() else str(archive)
    return [*OPTIONS, f"-XX:SharedArchiveFile={files}"]


def _is_made(archive: Path) -> bool:
    """Whether an archive is there in full: one that is cut short, by a crash or a copy, kills the JVM that maps it."""
    try:
        return 0 < archive.stat().st_size == int(_size_file(archive).read_text())
    except (OSError, ValueError):
        return False


def _is_settled(archive: Path) -> bool:
    return _is_made(archive) or (archive.exists() and archive.stat().st_size == 0)


def _size_file(archive: Path) -> Path:
    return archive.with_suffix(".size")


def make_later(archive: Path) -> None:
    """Starts the process that makes an archive, apart from this one and with no output; removes those of no use."""
    _remove_homes_without_java(archive)
    if _is_settled(archive) or not os.access(archive.parent, os.W_OK):
        return
    with contextlib.suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.class_data", str(archive)], cwd=PACKAGE.parent, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def make(archive: Path) -> bool:
    """Makes an archive; false where another process does, or it is there already."""
    from pipeline.session import record_classes

    with open(archive.parent / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        if _is_settled(archive):
            return False
        for left in archive.parent.glob("*.tmp"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(suffix=".tmp", dir=archive.parent) as folder:
            made = Path(folder) / archive.name
            base = _base(archive.parent, Path(folder))
            options = [
                *OPTIONS,
                *([f"-XX:SharedArchiveFile={base}"] if base else []),
                f"-XX:ArchiveClassesAtExit={made}",
            ]
            try:
                well = record_classes(options) and made.exists()
            except Exception:  # Nobody waits for a word of it, and Spark has many.
                well = False
            if not well:
                made.unlink(missing_ok=True)
                made.touch()
            _to_disk(made)
            _size_file(archive).write_text(str(made.stat().st_size))
            for file in _former(archive)[:-KEPT]:
                file.unlink(missing_ok=True)
                _size_file(file).unlink(missing_ok=True)
            os.replace(made, archive)
    return True


def _former(archive: Path) -> list[Path]:
    """The other archives of this environment, of whatever Java, as they were made."""
    made = {}
    for file in archive.parent.parent.glob("*/spark-*.jsa"):
        with contextlib.suppress(OSError):  # Another process removes some, too.
            made[file] = file.stat().st_mtime
    made.pop(archive, None)
    return sorted(made, key=made.get)


def _remove_homes_without_java(archive: Path) -> None:
    """Removes the wrappers, with their archives, of Javas that are gone."""
    with contextlib.suppress(OSError):
        for home in archive.parent.parent.iterdir():
            if (home / "lib").is_symlink() and not (home / "lib").exists():
                shutil.rmtree(home, ignore_errors=True)


def _base(home: Path, folder: Path) -> Path | None:
    """The archive of Java's own classes, made where the Java has come without one; None where it has it."""
    if list((home / "lib" / "server").glob("*.jsa")):
        return None
    base, made = home / BASE, folder / BASE
    if not base.exists():
        command = [str(home / "bin" / "java"), *OPTIONS, "-Xshare:dump", f"-XX:SharedArchiveFile={made}"]
        subprocess.run(command, capture_output=True, check=False)
        if made.exists():
            _to_disk(made)
            os.replace(made, base)
    return base if base.exists() else None


def _to_disk(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    os.nice(19)
    asked_for = Path(sys.argv[1])
    # Another Java may be found here, whose archive nobody asked for; and in another environment not even a wrapper.
    if asked_for.parent.parent == (Path(sys.prefix) / "java").resolve() and archive_of(use_java()) == asked_for:
        make(asked_for)
