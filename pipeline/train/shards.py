"""Shards as a set that can be read in any order: the tars, and for each an index of its members.

Our tars have their index beside them. Any other webdataset or img2dataset tar is scanned once into a cache. Samples are
read by offset, so nothing in a tar is ever unpacked, and no pickle is ever loaded.
"""

import hashlib
import json
import os
import resource
from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.listing import list_files
from pipeline.paths import is_url, local
from pipeline.tars.index import IMAGE, JSON, TEXT, scan

NEEDED = (*IMAGE, *TEXT)
MOST_ROWS = 2_000_000
COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")


class ShardSet:
    """The samples of some tars, by shard and row."""

    def __init__(self, paths: list[str], cache: Path, option: str = "data.shards"):
        """``paths``: tars, or folders of them. Raises ``UsageError`` where one is missing or holds no tar.

        ``option``: what names them.
        """
        self.tars = [tar for path in paths for tar in find_tars(path, option)]
        if not self.tars:
            raise UsageError(f"{option}: no shards are given; give tars or folders of tars")
        check_distinct(self.tars, option)
        self.indexes = [find_index(tar, cache) for tar in self.tars]
        self.counts = np.array([pq.read_metadata(index).num_rows for index in self.indexes], np.int64)
        if not self.counts.sum():
            raise UsageError(f"{option}: no samples with an image and a text in {len(self.tars)} tar(s)")
        self.most_rows = MOST_ROWS  # of indexes in memory, some 60 bytes each
        self._make_caches()

    def _make_caches(self) -> None:
        self._indexes: OrderedDict[int, tuple[pa.Array, np.ndarray]] = OrderedDict()
        self._indexed = 0
        self._json_offsets = lru_cache(maxsize=4)(self._read_json_offsets)
        # Half of what the system lets a process open; the other half is for others.
        self._file = lru_cache(maxsize=max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))(_File)

    def keys(self, shard: int) -> pa.Array:
        """The keys of a shard's samples."""
        return self._read(shard, ["key"])["key"].combine_chunks()

    def probabilities(self, shard: int) -> np.ndarray:
        """The ``keep_probability`` of a shard's samples; NaN where it has none."""
        return self._read(shard, ["keep_probability"])["keep_probability"].to_numpy()

    def sample(self, shard: int, row: int) -> tuple[str, bytes, str]:
        """The key, the bytes of the image, and the text of a sample."""
        keys, offsets = self._rows(shard)
        image_at, image_size, _, _ = offsets[row].tolist()
        return keys[row].as_py(), self._file(self.tars[shard]).read(image_at, image_size), self.text(shard, row)

    def text(self, shard: int, row: int) -> str:
        """The text of a sample."""
        _, _, text_at, text_size = self._rows(shard)[1][row].tolist()
        return self._file(self.tars[shard]).read(text_at, text_size).decode("utf-8", "replace")

    def json(self, shard: int, row: int) -> bytes | None:
        """The bytes of a sample's JSON member, or None where it has none."""
        offsets = self._json_offsets(shard)
        if offsets is None or offsets[0][row] is None:
            return None
        return self._file(self.tars[shard]).read(offsets[1][row], offsets[0][row])

    def _read_json_offsets(self, shard: int) -> tuple[list, list] | None:
        if not set(JSON) <= set(pq.read_schema(self.indexes[shard]).names):
            return None
        table = self._read(shard, list(JSON))
        return table["json_size"].to_pylist(), table["json_offset"].to_pylist()

    def texts(self, limit: int) -> Iterator[str]:
        """Up to ``limit`` texts, of shards in a fixed random order."""
        for shard in np.random.default_rng(0).permutation(len(self.tars)):
            for row in range(min(limit, self.counts[shard])):
                yield self.text(shard, row)
            limit -= min(limit, self.counts[shard])

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
        return {name: getattr(self, name) for name in ("tars", "indexes", "counts", "most_rows")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._make_caches()


class _File:
    """An open file that is read at offsets."""

    def __init__(self, path: str):
        self.number = os.open(path, os.O_RDONLY)

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from an offset on; fewer at the end of the file."""
        return os.pread(self.number, size, offset)

    def __del__(self):
        os.close(self.number)


def find_tars(path: str, option: str = "data.shards") -> list[str]:
    """The tars that a path stands for, by name: itself, those in a folder, or those of a pattern."""
    found = Path(local(path))
    if found.is_dir():
        tars = sorted(str(file) for file in found.iterdir() if file.name.endswith(".tar"))
        if not tars:
            raise UsageError(f"{option}: {path}: a folder without .tar files")
        return tars
    if path.endswith(COMPRESSED):
        raise UsageError(f"{option}: {path}: a compressed tar cannot be read in any order; unpack it to .tar first")
    if found.is_file():
        return [str(found)]
    tars = [] if is_url(path) else [tar for tar, _, _ in list_files(path) if tar.endswith(".tar")]
    if missing := [tar for tar in tars if not Path(tar).is_file()]:
        raise UsageError(f"{option}: {missing[0]}: a link to nowhere")
    if not tars:
        hint = "; metaclip-pipeline curate writes the demo's" if path.startswith("output/demo") else ""
        raise UsageError(f"{option}: {path}: no such file or folder{hint}")
    return tars


def check_distinct(tars: list[str], option: str = "data.shards") -> None:
    """Refuses tars of which one is given twice, by whatever path: its samples would be twice in a batch or a table."""
    seen: dict[str, str] = {}
    for tar in tars:
        if (real := os.path.realpath(tar)) in seen:
            raise UsageError(f"{option}: {tar}: given twice" + (f", also as {seen[real]}" if seen[real] != tar else ""))
        seen[real] = tar


def check_unbalanced(tars: list[str]) -> None:
    """Refuses shards for online balancing unless their set's manifest says that they were not balanced before."""
    for folder in sorted({Path(tar).parent for tar in tars}):
        manifest = folder / "manifest.json"
        mode = json.loads(manifest.read_bytes()).get("balance_mode") if manifest.is_file() else None
        if mode != "none":
            found = f"shards of balance.mode {mode}" if mode else "shards without our manifest"
            raise UsageError(
                f"data.online_balancing: {folder}: found {found}, which would be balanced twice; allowed are shards of "
                "balance.mode none"
            )


def find_index(tar: str, cache: Path) -> str:
    """The Parquet index of a tar: beside it, else in the cache, where it is put by a scan."""
    beside = Path(tar).with_suffix(".parquet")
    if beside.is_file() and {"key", "keep_probability", *NEEDED} <= set(pq.read_schema(beside).names):
        return str(beside)
    state, cache = os.stat(tar), Path(local(cache))
    name = hashlib.sha256(f"{os.path.abspath(tar)}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()[:24]
    index = cache / f"{name}.parquet"
    if not index.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f"{name}.{os.getpid()}.part"
        rows = scan(tar)
        pq.write_table(rows.filter(rows[TEXT[0]].is_valid()), part)
        part.replace(index)
    return str(index)
