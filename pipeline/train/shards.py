"""Shards as a set that can be read in any order: the tars, and for each an index of its members.

Our tars have their index beside them. Any other webdataset or img2dataset tar is scanned once into a cache. Samples are
read by offset, of a store or a web server by ranges, so no file is made of what is in a tar, and no pickle is loaded.
"""

import json
import os
import resource
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.paths import is_url, shown
from pipeline.tars.index import JSON
from pipeline.train.distributed import ProcessGroup
from pipeline.train.files import TarFile, open_file, read_whole
from pipeline.train.given import beside, check_distinct, find_tars, is_packed
from pipeline.train.indexes import NEEDED, find_indexes, holds, tar_states

MOST_ROWS = 2_000_000
MOST_IMAGE, MOST_TEXT = 1 << 28, 1 << 20  # bytes: a header may lie
AT_A_TIME = 16  # requests of a process
MOST_PACKED = 2  # compressed tars that are open, each with what is read ahead of it
GAP, MOST_REQUEST = 1 << 16, 1 << 24  # bytes between what one request reads, and of all that


class CutShort(OSError):
    """A sample that is not whole in its tar."""


class Sample(NamedTuple):
    """The key of a sample, the bytes of its image, its text, and its JSON; or why it cannot be read."""

    key: str
    image: bytes = b""
    text: str = ""
    json: bytes | None = None
    error: OSError | None = None


class ShardSet:
    """The samples of some tars, by shard and row."""

    def __init__(self, paths: list[str], cache: Path, option: str = "data.shards"):
        """``paths``: tars, as ``find_tars`` takes them; ``option`` is what names them.

        Raises ``UsageError`` where one is missing or holds no tar.
        """
        self.tars = [tar for path in paths for tar in find_tars(path, option)]
        if not self.tars:
            raise UsageError(f"{option}: no shards are given; give tars or folders of tars")
        check_distinct(self.tars, option)
        self.states = tar_states(self.tars)
        found = find_indexes(self.tars, self.states, cache)
        self.indexes = [index.file for index in found]
        self.counts = np.array([index.rows for index in found], np.int64)
        self.damage = {shard: index.damage for shard, index in enumerate(found) if index.damage}
        if not self.counts.sum():
            shard = next(iter(self.damage), 0)
            what = f"not a whole tar: {self.damage[shard]}; " if self.damage else ""
            tar = self.tars[shard]
            raise UsageError(
                f"{option}: {shown(tar)}: {what}found {holds(tar)}; {len(self.tars):,} tar(s) have no samples with "
                "an image and a text (.txt)"
            )
        self.most_rows = MOST_ROWS  # of indexes in memory, some 60 bytes each
        self._make_caches()

    def _make_caches(self) -> None:
        self._process = os.getpid()
        self._indexes: OrderedDict[int, tuple[pa.Array, np.ndarray]] = OrderedDict()
        self._indexed = 0
        self._json_offsets = lru_cache(maxsize=4)(self._read_json_offsets)
        # Half of what the system lets a process open; the other half is for others.
        most = max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._file = lru_cache(maxsize=most)(self._open)
        self._packed_file = lru_cache(maxsize=MOST_PACKED)(self._open)
        self._pool: ThreadPoolExecutor | None = None

    def _open(self, shard: int) -> TarFile:
        return open_file(self.tars[shard], self.states[shard])

    @property
    def is_remote(self) -> bool:
        """Whether a tar is read over a network."""
        return any(map(is_url, self.tars))

    def damaged(self) -> list[str]:
        """A line for each tar that is damaged: which, what is wrong, and how many samples it has."""
        return [
            f"{shown(self.tars[shard])}: damaged: {said}; its {self.counts[shard]:,} whole samples are used"
            for shard, said in self.damage.items()
        ]

    def without_samples(self) -> list[str]:
        """The tars that hold no sample."""
        return [shown(self.tars[shard]) for shard in np.flatnonzero(self.counts == 0)]

    def keys(self, shard: int) -> pa.Array:
        """The keys of a shard's samples."""
        return self._read(shard, ["key"])["key"].combine_chunks()

    def probabilities(self, shard: int) -> np.ndarray:
        """The ``keep_probability`` of a shard's samples; NaN where it has none."""
        return self._read(shard, ["keep_probability"])["keep_probability"].to_numpy()

    def sample(self, shard: int, row: int) -> Sample:
        """A sample. Raises ``OSError`` where it cannot be read."""
        (found,) = self.samples([(shard, row)])
        if found.error is not None:
            raise found.error
        return found

    def samples(self, places: Sequence[tuple[int, int]], with_json: bool = False) -> list[Sample]:
        """The samples at (shard, row) places, in their order; of what is on a network some at a time."""
        keys, pieces = [], []
        for shard, row in places:
            rows, offsets = self._rows(shard)
            image_at, image_size, text_at, text_size = offsets[row].tolist()
            keys.append(rows[row].as_py())
            pieces += [(shard, image_at, image_size), (shard, text_at, text_size)]
            if with_json:
                pieces.append((shard, *self._json_piece(shard, row)))
        parts = 3 if with_json else 2
        contents = self._read_pieces(pieces)
        return [
            _as_sample(key, pieces[at : at + parts], contents[at : at + parts])
            for key, at in zip(keys, range(0, len(pieces), parts), strict=True)
        ]

    def _texts(self, shard: int, rows: range) -> Iterator[str]:
        """The texts of a shard's samples that can be read, without their images."""
        offsets = self._rows(shard)[1]
        pieces = [(shard, *offsets[row].tolist()[2:]) for row in rows]
        for found in self._read_pieces([piece for piece in pieces if piece[2] <= MOST_TEXT]):
            if isinstance(found, bytes):
                yield found.decode("utf-8", "replace")

    def _json_piece(self, shard: int, row: int) -> tuple[int, int]:
        """Offset and size of a sample's JSON; of none where there is none."""
        offsets = self._json_offsets(shard)
        if offsets is None or offsets[0][row] is None:
            return 0, 0
        return offsets[1][row], offsets[0][row]

    def _read_pieces(self, pieces: list[tuple[int, int, int]]) -> list[bytes | OSError]:
        """The bytes of (shard, offset, size) pieces, or why they cannot be read.

        Pieces of a tar that lie close together on a network are one request.
        """
        if self._process != os.getpid():
            self._make_caches()  # A fork must not go on with its parent's connections and places in files.
        if not any(is_url(self.tars[shard]) for shard, _, _ in pieces):
            return [self._read_piece(*piece) for piece in pieces]
        found: list[bytes | OSError] = [b""] * len(pieces)
        groups: list[list[int]] = []
        for number in sorted(range(len(pieces)), key=pieces.__getitem__):
            shard, at, size = pieces[number]
            first, last = (pieces[groups[-1][place]] for place in (0, -1)) if groups else (None, None)
            if last and shard == last[0] and at <= sum(last[1:]) + GAP and at + size - first[1] <= MOST_REQUEST:
                groups[-1].append(number)
            else:
                groups.append([number])

        def read(group: list[int]) -> None:
            shard, start, _ = pieces[group[0]]
            whole = self._read_piece(shard, start, max(sum(pieces[number][1:]) for number in group) - start)
            for number in group:
                _, at, size = pieces[number]
                if isinstance(whole, CutShort):
                    found[number] = self._read_piece(shard, at, size)
                else:
                    found[number] = whole if isinstance(whole, OSError) else whole[at - start : at - start + size]

        self._pool = self._pool or ThreadPoolExecutor(AT_A_TIME)
        list(self._pool.map(read, groups))
        return found

    def _read_piece(self, shard: int, offset: int, size: int) -> bytes | OSError:
        if size > MOST_IMAGE:
            return CutShort(f"a file of {size:,} bytes, more than {MOST_IMAGE:,}")
        try:
            file = (self._packed_file if is_packed(self.tars[shard]) else self._file)(shard)
            found = file.read_at(size, offset)
        except OSError as error:
            return error
        return found if len(found) == size else CutShort(f"ends after {len(found):,} of {size:,} bytes")

    def _read_json_offsets(self, shard: int) -> tuple[list, list] | None:
        if not set(JSON) <= set(pq.read_schema(self.indexes[shard]).names):
            return None
        table = self._read(shard, list(JSON))
        return table["json_size"].to_pylist(), table["json_offset"].to_pylist()

    def texts(self, limit: int) -> Iterator[str]:
        """Up to ``limit`` texts, of shards in a fixed random order."""
        for shard in np.random.default_rng(0).permutation(len(self.tars)):
            count = min(limit, int(self.counts[shard]))
            for start in range(0, count, 1000):
                yield from self._texts(shard, range(start, min(start + 1000, count)))
            limit -= count

    def _rows(self, shard: int) -> tuple[pa.Array, np.ndarray]:
        """Keys and offsets of a shard's samples; those that were used last stay in memory, ``most_rows`` of them."""
        if shard in self._indexes:
            self._indexes.move_to_end(shard)
            return self._indexes[shard]
        found = self._indexes[shard] = self._read_rows(shard)
        self._indexed += len(found[0])
        while self._indexed > self.most_rows and len(self._indexes) > 1:
            self._indexed -= len(self._indexes.popitem(last=False)[1][0])
        return found

    def _read_rows(self, shard: int) -> tuple[pa.Array, np.ndarray]:
        table = self._read(shard, ["key", *NEEDED])
        return table["key"].combine_chunks(), np.stack([table[name].to_numpy() for name in NEEDED], 1)

    def _read(self, shard: int, columns: list[str]) -> pa.Table:
        return pq.read_table(self.indexes[shard], columns=columns, partitioning=None)

    def __getstate__(self) -> dict:
        kept = ("tars", "states", "indexes", "counts", "damage", "most_rows")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._make_caches()


def _as_sample(key: str, pieces: list[tuple], contents: list[bytes | OSError]) -> Sample:
    if pieces[1][2] > MOST_TEXT:
        return Sample(key, error=CutShort(f"a text of {pieces[1][2]:,} bytes, more than {MOST_TEXT:,}"))
    if (error := next((found for found in contents if isinstance(found, OSError)), None)) is not None:
        return Sample(key, error=error)
    image, text, *more = contents
    return Sample(key, image, text.decode("utf-8", "replace"), (more or [None])[0] or None)


def open_shard_set(paths: list[str], cache: Path, group: ProcessGroup) -> ShardSet:
    """The shard set of all processes, which share the work of making its indexes."""

    def index_share() -> None:
        tars = [tar for path in paths for tar in find_tars(path)][group.rank :: group.world_size]
        find_indexes(tars, tar_states(tars), cache)

    if group.world_size > 1:
        group.together(index_share)
    return group.together(lambda: ShardSet(paths, cache))


def check_unbalanced(tars: list[str]) -> None:
    """Refuses shards for online balancing unless their set's manifest says that they were not balanced before."""
    manifests = {beside(tar, "manifest.json"): tar for tar in tars}
    for manifest, tar in sorted(manifests.items(), key=lambda item: item[1]):
        content = None if manifest is None else read_whole(manifest)
        mode = None if content is None else json.loads(content).get("balance_mode")
        if mode != "none":
            found = f"shards of balance.mode {mode}" if mode else "shards without our manifest"
            raise UsageError(
                f"data.online_balancing: {shown(tar).rpartition('/')[0]}: found {found}, which would be balanced "
                "twice; allowed are shards of balance.mode none"
            )
