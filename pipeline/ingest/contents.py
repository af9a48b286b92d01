"""The files that a pool was read from, so that one that is given again is known by its content.

Of each the size and a hash of samples are kept, which costs a read of a megabyte at most. Where both are those of
another file that is still there, the two are compared whole.
"""

import hashlib
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.secrets import public

# A hidden folder in `pairs`: the files that were read.
INPUTS = "_inputs"
FILES = pa.schema({"path": pa.string(), "bytes": pa.int64(), "modified": pa.int64(), "sampled": pa.string()})
SAMPLES, SAMPLE_BYTES = 16, 1 << 16


class Known(NamedTuple):
    """A file that was read: where it was (a URL without keys), its bytes, when modified (ns), a hash of its samples."""

    path: str
    bytes: int
    modified: int
    sampled: str | None

    @property
    def file(self) -> tuple[str, int, int]:
        """The file as it is listed."""
        return self.path, self.bytes, self.modified


def sampled(path: str) -> str:
    """A hash of a file's size and of samples over all of it; of a file of a megabyte or less, of all of it."""
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        size = file.size()
        digest = hashlib.sha256(str(size).encode())
        if size <= SAMPLES * SAMPLE_BYTES:
            digest.update(file.read())
        else:
            for sample in range(SAMPLES):
                digest.update(file.read_at(SAMPLE_BYTES, sample * (size - SAMPLE_BYTES) // (SAMPLES - 1)))
    return digest.hexdigest()


def as_table(files: list[Known]) -> pa.Table:
    """The table that is kept."""
    return pa.Table.from_pylist([file._asdict() for file in files], FILES)


def known_files(pairs: str) -> list[Known]:
    """The files that a finished table ``pairs`` was made of."""
    folder = storage.join(pairs, INPUTS)
    return [
        Known(**row)
        for name in storage.names(folder)
        for row in pq.read_table(pa.BufferReader(storage.read_bytes(storage.join(folder, name)))).to_pylist()
    ]


def refuse_known(files: list[tuple[str, int, int]], known: list[Known]) -> None:
    """Raises ``UsageError`` for the first of the files that was read before, by its place or by its content."""
    by_path, by_size = {file.path: file for file in known}, {}
    for file in known:
        by_size.setdefault(file.bytes, []).append(file)
    for path, size, modified in files:
        name = public(path)
        if name in by_path:
            same = by_path[name].file == (name, size, modified)
            why = "was added before" if same else "has changed since it was added; give what is new as another file"
            raise UsageError(f"--append {name}: {why}")
        for other in by_size.get(size, ()) if size else ():
            if _same(path, other):
                raise UsageError(f"--append {name}: was added before, as {other.path}")


def _same(path: str, other: Known) -> bool:
    """Whether a file has the content of one that was read, which is of its size."""
    if other.sampled is not None and sampled(path) != other.sampled:
        return False
    try:
        there = storage.list_files(other.path)
    except (OSError, UsageError):  # A store whose keys were in its URL, which are not kept.
        there = []
    if there == [other.file]:
        return storage.sha256(path) == storage.sha256(other.path)
    return other.sampled is not None
