"""What a disk, memory or the end of a process did to a run is said in words, wherever it happened."""

import errno
import os

import pytest
from py4j.protocol import Py4JNetworkError

from pipeline.errors import PipelineError, UsageError
from pipeline.failure import explained, in_words
from pipeline.room import needed, shown, written

# As Spark hands on what failed in a task, in a task's JVM, and what Arrow and Python raise themselves.
TASK = 'An exception was thrown from the Python worker. Please see the stack trace below.\nTraceback (most recent call last):\n  File "x.py", line 1\n{}\n'
TABLE = [
    (OSError(errno.ENOSPC, "No space left on device"), "No space left in {out}: more is needed for pairs; what is fin"),
    (RuntimeError(TASK.format("OSError: [Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device")), "No space left in {out}:"),
    (RuntimeError("org.apache.spark.SparkException: Job aborted\nCaused by: java.io.IOException: No space left on device"), "No space left in {out}:"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "No space left in {out}: the quota is used up"),
    (OSError(errno.EROFS, "Read-only file system", "{out}/x"), "{out}: cannot be written: the file system is read-only, in pairs"),
    (OSError(errno.EACCES, "Permission denied", "/elsewhere/x"), "/elsewhere/x: cannot be read or written: permission denied"),
    (RuntimeError(TASK.format("OSError: [Errno 5] Error reading bytes from file '/data/pool/a.csv'")), "/data/pool/a.csv: the disk cannot read or write: Input/output error"),
    (OSError(errno.EMFILE, "Too many open files"), "{out}: too many open files; raise the limit (ulimit -n), in pairs"),
    (RuntimeError("java.io.IOException: Mkdirs failed to create file:/a/b (exists=false, cwd=file:/c)"), "{out}: a folder cannot be made there, in pairs: no space, no inodes, or"),
    (MemoryError(), "Not enough memory for pairs: give it more, or let fewer tasks run"),
    (RuntimeError("java.lang.OutOfMemoryError: Java heap space"), "Not enough memory for pairs"),
    (RuntimeError("can't start new thread"), "Not enough memory for pairs"),
    (RuntimeError(TASK.format("pyarrow.lib.ArrowMemoryError: malloc of size 1073741824 failed")), "Not enough memory for pairs"),
    (RuntimeError("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\nCaused by: java.io.EOFException"), "A worker process was ended from outside in pairs"),
    (Py4JNetworkError("Error while receiving"), "Spark's Java process was ended from outside in pairs"),
    (RuntimeError("An error occurred while calling o1.x. Answer from Java side is empty"), "Spark's Java process was ended"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "line"), TABLE, ids=lambda value: str(value)[-40:])
def test_words(tmp_path, error, line):
    out = str(tmp_path)
    if getattr(error, "filename", None):
        error.filename = error.filename.replace("{out}", out)
    said = explained(error, out, "pairs")
    assert said.startswith(line.replace("{out}", out))
    assert "\n" not in said
    with pytest.raises(PipelineError, match="pairs"), in_words(out, "pairs"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("x"),
        KeyError("a"),
        OSError(errno.ENOENT, "gone"),
        ConnectionRefusedError(errno.ECONNREFUSED, "a store's"),
        UsageError("a: b"),
    ],
)
def test_what_it_does_not_know_stays(tmp_path, error):
    with pytest.raises(type(error)) as raised, in_words(str(tmp_path), "pairs"):
        raise error
    assert raised.value is error


def test_how_much_room_is_lacking(tmp_path):
    said = explained(OSError(errno.ENOSPC, "x"), str(tmp_path), "matched", lambda: 12_300_000_000)
    assert said.startswith(f"No space left in {tmp_path}: about 12 GB more are needed for matched; ")
    assert [shown(size) for size in (0, 999, 1000, 9_950, 12e9, 3e18)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "9.9 kB",
        "12 GB",
        "3000 PB",
    ]
    (tmp_path / "a").mkdir()
    (tmp_path / "a/.part").write_bytes(bytes(70))
    os.symlink("gone", tmp_path / "link")
    assert written(str(tmp_path)) == 70 + 4
    assert needed(None, "s3://bucket/x") is None
    assert needed(None, str(tmp_path)) is None
