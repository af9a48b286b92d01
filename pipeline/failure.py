"""What went wrong with a disk, a process or memory, in a person's words: no name of a Java or Python exception.

Spark hands on what failed in a task as text alone, so that a cause is found by its number or by what systems say of it.
"""

import contextlib
import errno
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator

from pipeline import storage
from pipeline.engine import submitted
from pipeline.errors import PipelineError, UsageError
from pipeline.job import Stopped, cause
from pipeline.room import shown

AGAIN = "what is finished stays: the same command goes on from there"
SPACE, QUOTA, READ_ONLY, DENIED, DISK, OPEN_FILES, GONE = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE, errno.ENOENT
)  # fmt: skip
# What systems, Arrow and Java say of an error where they give no number, the first that is found.
SAID = {
    "No space left on device": SPACE,
    "Disk quota exceeded": QUOTA,
    "Read-only file system": READ_ONLY,
    "Permission denied": DENIED,
    "Input/output error": DISK,
    "Too many open files": OPEN_FILES,
}
MEMORY = re.compile(
    r"MemoryError|OutOfMemoryError|[Cc]annot allocate memory|(malloc|realloc) of size \d+ failed|bad_alloc|"
    r"can't start new thread"
)
KILLED = re.compile(r"Python worker exited unexpectedly|Python worker failed to connect|ExecutorLostFailure")
NUMBER = re.compile(r"\[[Ee]rrno (\d+)\]")
PATH = re.compile(r"""['"(]((?:file:)?/[^'"\n]+?)['")]""")
NO_FOLDER = "Mkdirs failed to create"
SETTINGS = "its settings are those of spark-defaults.conf or spark-submit"
NO_LOCAL_FOLDER = 53  # the code with which Spark's Java ends then
FULL = 1 << 20  # less is free where a disk is full


def tell_once() -> None:
    """Keeps Python from telling again, with its stack, that a file could not be closed: who wrote it has said so.

    And Py4J from logging the stack of an interrupt, or of what came of it: PySpark's own handler, until a session's
    takes its place, calls Java in the middle of a call.
    """
    sys.unraisablehook = lambda what: None if isinstance(what.exc_value, OSError) else sys.__unraisablehook__(what)
    for name in (None, "py4j.clientserver", "py4j.java_gateway"):
        logging.getLogger(name).addFilter(lambda line: not (line.exc_info and _of_interrupt(line.exc_info[1])))


@contextlib.contextmanager
def in_words(output: str, what: str, needed: Callable[[], int | None] = lambda: None) -> Iterator[None]:
    """Raises a ``PipelineError`` in place of what a disk, memory or the end of a process did to a run.

    ``what``: what was to be done, for the line; ``needed``: how many bytes more a full disk would have to have.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        if interrupt := _interrupt(error):
            raise interrupt from None
        if (line := explained(error, output, what, needed)) is None:
            raise
        raise PipelineError(line) from error


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those during which it came."""
    while error is not None:
        yield error
        error = error.__context__


def _interrupt(error: BaseException) -> BaseException | None:
    """The interrupt, or other signal, that an error comes from: it cancels a job, which then says that it was."""
    return next((one for one in _behind(error) if isinstance(one, (KeyboardInterrupt, Stopped))), None)


def _of_interrupt(error: BaseException | None) -> bool:
    """Whether an error comes from an interrupt, or from a call in its handler."""
    stops = (KeyboardInterrupt, Stopped)
    return any(isinstance(one, stops) or str(one).startswith("reentrant call") for one in _behind(error))


def explained(
    error: BaseException, output: str, what: str, needed: Callable[[], int | None] = lambda: None
) -> str | None:
    """The line for a person; None for what is none of these."""
    text = str(error)
    number = _number(error, text)
    if number in (SPACE, QUOTA):
        return _no_space(output, what, number, needed)
    place = _place(error, text, output)
    if number is None and NO_FOLDER in text:  # All that Java knows.
        if any(map(_is_full, [output] if storage.is_local(output) else [])):
            return _no_space(output, what, SPACE, needed)
        return f"{output}: a folder cannot be made there, in {what}: no space, no inodes, or no permission; {AGAIN}"
    if number is not None:
        why = {
            READ_ONLY: "cannot be written: the file system is read-only",
            DENIED: "cannot be read or written: permission denied",
            DISK: "the disk cannot read or write: Input/output error",
            OPEN_FILES: "too many open files; raise the limit (ulimit -n)",
        }[number]
        return f"{place}: {why}, in {what}; {AGAIN}"
    if isinstance(error, MemoryError) or MEMORY.search(text):
        return f"Not enough memory for {what}: give it more, or {_fewer()}; {AGAIN}"
    if KILLED.search(text):
        return (
            f"A worker process was ended from outside in {what}, most often by the system for want of memory: "
            f"give more, or {_fewer()}; {AGAIN}"
        )
    if _is_of_java(error):
        return f"Spark's Java process was ended from outside in {what}, most often for want of memory; {AGAIN}"
    return None


def _fewer() -> str:
    return f"let fewer tasks run at a time ({'--master' if submitted() else '--engine'} local[N])"


def not_started(error: BaseException, java: subprocess.Popen | None) -> PipelineError:
    """What to raise where there is no session, most often for a setting; ``java``: its process, if known."""
    code = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = None if java is None else java.wait(timeout=1)
    if code == NO_LOCAL_FOLDER:
        return UsageError(
            "Spark does not start: it can write to no folder of SPARK_LOCAL_DIRS, spark.local.dir or TMPDIR"
        )
    why = cause(error).rstrip(".")
    if code is None and not isinstance(error, ConnectionError):
        return UsageError(f"Spark does not start: {why} ({SETTINGS})")
    if code is None or code < 0 or code > 128:
        return PipelineError("Spark does not start: its Java was ended from outside, most often for want of memory")
    return PipelineError(f"Spark does not start: its Java ended with code {code}; {why} ({SETTINGS})")


def _number(error: BaseException, text: str) -> int | None:
    """The number of a system's error."""
    known = set(SAID.values())
    found = [error.errno] if isinstance(error, OSError) else []
    found += [int(one) for one in NUMBER.findall(text)]
    found += [number for said, number in SAID.items() if said in text]
    return next((number for number in found if number in known), None)


def _is_of_java(error: BaseException) -> bool:
    """Whether the connection to the JVM broke, and not one to a store."""
    if type(error).__name__ == "Py4JNetworkError" or "Answer from Java side is empty" in str(error):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ConnectionError) and any("py4j" in frame.filename for frame in frames)


def _place(error: BaseException, text: str, output: str) -> str:
    """The output where what failed is in it, else the file that is named, else the output."""
    named = [error.filename] if isinstance(error, OSError) and isinstance(error.filename, str) else PATH.findall(text)
    paths = [path.removeprefix("file:") for path in named]
    inside = storage.split_options(output)[0].rstrip("/") + "/"
    return next((path for path in paths if not path.startswith(inside)), output) if paths else output


def _no_space(output: str, what: str, number: int, needed: Callable[[], int | None]) -> str:
    """Which disk is full, the output's or where Spark and Python keep what is on its way, and how much it lacks."""
    if number == QUOTA:
        return f"No space left in {output}: the quota is used up, in {what}; {AGAIN}"
    places = [output] if storage.is_local(output) else []
    places += [*os.environ.get("SPARK_LOCAL_DIRS", "").split(","), tempfile.gettempdir()]
    place = next((place for place in places if place and _is_full(place)), output)
    more = needed() if place == output else None
    lacks = f"about {shown(more)} more are needed" if more else "more is needed"
    return f"No space left in {place}{_files_left(place)}: {lacks} for {what}; {AGAIN}"


def _is_full(place: str) -> bool:
    try:
        return shutil.disk_usage(place).free < FULL or os.statvfs(place).f_favail == 0 < os.statvfs(place).f_files
    except OSError:
        return False


def _files_left(place: str) -> str:
    """That a disk has room, and no more files."""
    with contextlib.suppress(OSError):
        found = os.statvfs(place)
        if found.f_files and not found.f_favail and found.f_bavail * found.f_frsize >= FULL:
            return " for another file (no inodes)"
    return ""
