"""Tombstones: hashes of what was taken out of an output, in ``tombstones.parquet``, with the salt in a file beside.

A tombstone is BLAKE2b of 128 bits, keyed with a salt of the output's own, under the name of its kind. Whoever has both
files can try whether a URL or text that he knows, or guesses, was taken out; without the salt the hashes say nothing,
and those of two outputs cannot be compared. ``check``, 32 bits of XXH64, lets a table of millions of rows be held
against them by a compiled loop: only rows that it hits are hashed with BLAKE2b, which decides.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.hashing import hashes
from pipeline.buckets.keys import among
from pipeline.errors import UsageError

NAME, SALT = "tombstones.parquet", ".tombstones.salt"
SALT_BYTES, HASH_BYTES = 32, 16
# ``removal``: the line of removals.json. ``implied``: it follows from another, and is asked by `explain` alone.
SCHEMA = pa.schema(
    {"kind": pa.string(), "hash": pa.binary(HASH_BYTES), "check": pa.uint32(), "removal": pa.int32(),
     "implied": pa.bool_()}
)  # fmt: skip
HASH = np.dtype([("high", ">u8"), ("low", ">u8")])


@dataclass(frozen=True)
class Salt:
    """The key of an output's hashes."""

    key: bytes

    @classmethod
    def of(cls, output: str) -> "Salt":
        """That of an output; a new one where it has no tombstones. Raises ``UsageError`` where theirs is missing."""
        path = storage.join(output, SALT)
        if storage.exists(path):
            return cls(storage.read_bytes(path))
        if storage.exists(storage.join(output, NAME)):
            raise UsageError(f"{path}: missing, without which nobody knows what {NAME} keeps out; put it back")
        return cls(secrets.token_bytes(SALT_BYTES))

    def hashes(self, kind: str, values: list[bytes]) -> np.ndarray:
        """The hash of each value, as ``HASH``."""
        start = hashlib.blake2b(key=self.key, digest_size=HASH_BYTES, person=kind.encode())
        found = bytearray()
        for value in values:
            one = start.copy()
            one.update(value)
            found += one.digest()
        return np.frombuffer(bytes(found), HASH)

    def checks(self, values: pa.Array) -> np.ndarray:
        """The check (uint32) of each value."""
        seed = int.from_bytes(hashlib.blake2b(b"check", key=self.key, digest_size=8).digest(), "little")
        return (hashes(values, seed).view(np.uint64) >> np.uint64(32)).astype(np.uint32)

    def made(self, kind: str, values: pa.Array, removal: int, implied: bool = False) -> pa.Table:
        """Tombstones of distinct values, as ``SCHEMA``."""
        values = pc.unique(values.cast(pa.large_string()))
        found = self.hashes(kind, values.cast(pa.large_binary()).to_pylist())
        columns = [
            pa.repeat(kind, len(values)), _binary(found), pa.array(self.checks(values)),
            pa.repeat(pa.scalar(removal, pa.int32()), len(values)), pa.repeat(implied, len(values)),
        ]  # fmt: skip
        return pa.table(columns, schema=SCHEMA)


@dataclass(frozen=True)
class Lookup:
    """The tombstones of one kind, by ascending hash, and the distinct checks of them."""

    kind: str
    salt: Salt
    hashes: np.ndarray
    removals: np.ndarray
    checks: np.ndarray

    def places(self, values: pa.Array) -> np.ndarray:
        """Of each value the place of its tombstone among ``hashes``; -1 where there is none."""
        values = pc.fill_null(values.cast(pa.large_string()), "")
        found = np.full(len(values), -1, np.int64)
        candidates = np.flatnonzero(among(self.salt.checks(values), self.checks))
        if not len(candidates):
            return found
        wanted = self.salt.hashes(self.kind, values.take(pa.array(candidates)).cast(pa.large_binary()).to_pylist())
        high, low = self.hashes["high"], self.hashes["low"]
        at = np.searchsorted(high, wanted["high"].astype(np.uint64))
        for step in range(_most_equal(high)):
            place = np.minimum(at + step, len(high) - 1)
            same = (high[place] == wanted["high"]) & (low[place] == wanted["low"])
            found[candidates[same]] = place[same]
        return found


def _firsts(ascending: np.ndarray) -> np.ndarray:
    """Whether each value is the first of those that are equal to it."""
    return np.append(True, ascending[1:] != ascending[:-1])[: len(ascending)]


def _most_equal(ascending: np.ndarray) -> int:
    """How often the commonest value is there."""
    ends = np.flatnonzero(np.append(ascending[1:] != ascending[:-1], True))
    return int(np.diff(ends, prepend=-1).max(initial=0))


@dataclass(frozen=True)
class Tombstones:
    """The tombstones of an output. ``asked``: those that were asked for; ``all``: those that follow from them, too."""

    asked: dict[str, Lookup] = field(default_factory=dict)
    all: dict[str, Lookup] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pa.Table, salt: Salt) -> "Tombstones":
        """Those of a table of ``SCHEMA``."""
        return cls(_lookups(table.filter(pc.invert(table["implied"])), salt), _lookups(table, salt))


def _lookups(table: pa.Table, salt: Salt) -> dict[str, Lookup]:
    lookups = {}
    for kind in pc.unique(table["kind"]).to_pylist():
        rows = table.filter(pc.equal(table["kind"], kind))
        found = _hashes(rows)
        order = np.lexsort([rows["removal"].to_numpy(), found["low"], found["high"]])
        order = order[_firsts(found[order])]
        native = np.dtype([("high", np.uint64), ("low", np.uint64)])
        removals, checks = rows["removal"].to_numpy()[order], np.unique(rows["check"].to_numpy())
        lookups[kind] = Lookup(kind, salt, found[order].astype(native), removals, checks)
    return lookups


@dataclass(frozen=True)
class Stored:
    """Where the tombstones of an output are, small enough to go along with a task; ``digest``: of the content."""

    output: str
    digest: str

    @classmethod
    def of(cls, output: str) -> "Stored | None":
        """Those of an output; None where nothing was taken out of it."""
        path = storage.join(output, NAME)
        return cls(output, storage.sha256(path)) if storage.exists(path) else None

    def loaded(self) -> Tombstones:
        """The tombstones, read once a process."""
        return _loaded(self.output, self.digest)


@lru_cache(maxsize=2)
def _loaded(output: str, digest: str) -> Tombstones:
    return Tombstones.of(read(output), Salt.of(output))


def read(output: str) -> pa.Table:
    """The table of an output's tombstones; an empty one where it has none."""
    path = storage.join(output, NAME)
    if not storage.exists(path):
        return SCHEMA.empty_table()
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        return pq.read_table(file).cast(SCHEMA)


def add(output: str, made: pa.Table, salt: Salt) -> None:
    """Writes more tombstones to those that are there; of equal ones the first stays. The salt is written first."""
    path = storage.join(output, SALT)
    if not storage.exists(path):
        storage.write_bytes(path, salt.key)
    table = pa.concat_tables([read(output), made])
    found, kinds = _hashes(table), table["kind"].combine_chunks().dictionary_encode()
    names = sorted(kinds.dictionary.to_pylist())
    numbers = np.array([names.index(name) for name in kinds.dictionary.to_pylist()], np.int8)
    number = numbers[kinds.indices.to_numpy()] if len(table) else np.zeros(0, np.int8)
    implied = table["implied"].to_numpy()
    order = np.lexsort([table["removal"].to_numpy(), implied, found["low"], found["high"], number])
    ascending, number = found[order], number[order]
    first = np.append(True, (ascending[1:] != ascending[:-1]) | (number[1:] != number[:-1]))[: len(order)]
    table = table.take(pa.array(order[first]))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=["kind"])
    storage.write_bytes(storage.join(output, NAME), sink.getvalue().to_pybytes())


def _hashes(table: pa.Table) -> np.ndarray:
    column = table["hash"].combine_chunks()
    data = column.buffers()[1] if len(column) else b""
    start = column.offset * HASH_BYTES
    return np.frombuffer(data, HASH, len(column), start) if len(column) else np.zeros(0, HASH)


def _binary(found: np.ndarray) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(HASH_BYTES), len(found), [None, pa.py_buffer(found.tobytes())]
    )
