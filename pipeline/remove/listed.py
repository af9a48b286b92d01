"""Which files hold something of what goes, and how many rows of each table: the list of work of a removal."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.buckets.keys import among
from pipeline.images.fetch import SUCCESS, is_table
from pipeline.remove.find import Concerned
from pipeline.remove.place import BY_IMAGE, BY_PAIR, FETCHED, Place, as_ids, in_threads, read_table, union


@dataclass
class Listed:
    """``of_table``: the pair_ids of each table that go, ascending. ``files``: those of tables that are written again.

    ``clusters``: (cluster_id, the one in its place) where the pair that gave a cluster its id goes;
    ``removed_by_dedupe``: the pairs of ``clusters`` that go and were not kept. ``fetched``: files of a store of images:
    ``folder``, ``table``, ``tar``, the ``new`` name of that, and how many ``images`` go. ``samples``: the pairs in
    shards that go, by shard. ``images``: rows of tables of images that go.
    """

    of_table: dict[str, np.ndarray] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    clusters: tuple[np.ndarray, np.ndarray] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    removed_by_dedupe: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    fetched: list[dict[str, Any]] = field(default_factory=list)
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    images: dict[str, pa.Table] = field(default_factory=dict)

    def rows(self) -> dict[str, int]:
        """The rows that go, by table or store; none where none do."""
        found = {table: len(ids) for table, ids in self.of_table.items()}
        found |= {table: rows.num_rows for table, rows in self.images.items()}
        found["shards"] = sum(map(len, self.samples.values()))
        found["fetched"] = sum(line["images"] for line in self.fetched)
        return {table: rows for table, rows in found.items() if rows}


def list_work(place: Place, found: Concerned, name: str) -> Listed:
    """What is to be done. ``name``: that of the removal, by which new tars are told apart."""
    listed = Listed()
    for table in BY_PAIR:
        parts = in_threads(lambda path: _ids(place, path, found.pairs), place.files(table))
        listed.of_table[table] = union(parts, np.int64)
        listed.files += [path for path, ids in zip(place.files(table), parts, strict=True) if len(ids)]
    _clusters(place, found.pairs, listed)
    moved = _fetched(place, found.images, listed, name)
    for table in BY_IMAGE:
        _images(place, table, found.images, moved, listed)
    samples = in_threads(lambda index: _samples(index, found.pairs), place.indexes)
    names = (storage.base_name(index).removesuffix(".parquet") for index in place.indexes)
    listed.samples = {one: ids for one, ids in zip(names, samples, strict=True) if len(ids)}
    return listed


def _samples(index: str, pairs: np.ndarray) -> np.ndarray:
    ids = read_table(index, ["pair_id"])["pair_id"].to_numpy()
    return np.sort(ids[among(ids, pairs)])


def _ids(place: Place, path: str, pairs: np.ndarray) -> np.ndarray:
    ids = [batch.column("pair_id").to_numpy() for batch in place.rows(path, ["pair_id"])]
    return union([part[among(part, pairs)] for part in ids], np.int64)


def _clusters(place: Place, pairs: np.ndarray, listed: Listed) -> None:
    """Finds the clusters whose id is that of a pair that goes: the smallest pair_id that stays takes its place."""
    others, smallest, not_kept = [], [], []
    for path in place.files("clusters"):
        rows = read_table(place.path(path), ["pair_id", "cluster_id", "kept"])
        ids, clusters = rows["pair_id"].to_numpy(), rows["cluster_id"].to_numpy()
        goes = among(ids, pairs)
        not_kept.append(ids[goes & ~rows["kept"].to_numpy()])
        left = among(clusters, pairs) & ~goes
        if left.any():
            others.append(clusters[left])
            smallest.append(ids[left])
            if path not in listed.files:
                listed.files.append(path)
    listed.removed_by_dedupe = union(not_kept, np.int64)
    if others:
        clusters, ids = np.concatenate(others), np.concatenate(smallest)
        order = np.lexsort([ids, clusters])
        known, first = np.unique(clusters[order], return_index=True)
        listed.clusters = (known, ids[order][first])


def _fetched(place: Place, images: np.ndarray, listed: Listed, name: str) -> set[str]:
    """Lists the tables and tars of stores with images that go; returns the tars that get another name."""
    moved = set()
    for store in place.stores:
        files = list(filter(is_table, storage.names(place.path(store))))
        paths = [place.path(f"{store}/{file}") for file in files]
        for file, rows in zip(files, in_threads(lambda path: _of_images(path, images), paths), strict=True):
            if not rows.num_rows:
                continue
            tars = pc.unique(rows["shard"].drop_null()).to_pylist()
            # A table names one tar; of images that did not come it has none.
            tar = tars[0] if tars else ""
            new = f"{file.removesuffix('.parquet')}-{name[:8]}.tar" if tar else ""
            listed.fetched.append({"folder": store, "table": file, "tar": tar, "new": new, "images": rows.num_rows})
            if tar and store == FETCHED:
                moved.add(tar)
    return moved


def _of_images(path: str, images: np.ndarray) -> pa.Table:
    rows = read_table(path, ["image_id", "shard"])
    return rows.filter(pa.array(among(as_ids(rows["image_id"]), images)))


def _images(place: Place, table: str, images: np.ndarray, moved: set[str], listed: Listed) -> None:
    """Lists the files of a table of images with some that go, or whose tar gets another name."""
    gone, names = [], pa.array(sorted(moved), pa.string())
    for path in place.files(table):
        rows = read_table(place.path(path))
        hit = pa.array(among(as_ids(rows["image_id"]), images))
        gone.append(rows.filter(hit))
        in_moved = "shard" in rows.column_names and pc.any(pc.is_in(rows["shard"], value_set=names)).as_py()
        if gone[-1].num_rows or in_moved:
            listed.files.append(path)
    if gone:
        listed.images[table] = pa.concat_tables(gone)


def statuses(listed: Listed) -> tuple[Counter, int]:
    """Of the rows of ``images`` that go: those that did not come by status, and those that came."""
    rows = listed.images.get("images")
    counted = Counter(rows["status"].to_pylist()) if rows is not None else Counter()
    return counted, counted.pop(SUCCESS, 0)
