"""Which pairs and images of an output tombstones forbid: one pass over its first table, and over what has images."""

import threading
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.buckets.files import read_file
from pipeline.buckets.hashing import pair_ids
from pipeline.buckets.keys import among
from pipeline.images.fetch import is_table
from pipeline.remove.place import BY_IMAGE, EXTRACTED, ID, Place, as_ids, in_threads, read_table, schema_of, union
from pipeline.tombstones.rows import forbidden
from pipeline.tombstones.table import Tombstones
from pipeline.tombstones.values import HOST, IMAGE_ID, PAIR_ID, SHA256, TEXT, URL

HASHES = ("sha256", "original_sha256")


@dataclass
class Hits:
    """Which tombstones hit something, by kind."""

    tombstones: Tombstones
    _hit: dict[str, np.ndarray] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, kind: str, places: np.ndarray) -> None:
        """Notes some."""
        with self._lock:
            if kind not in self._hit:
                self._hit[kind] = np.zeros(len(self.tombstones.asked[kind].hashes), bool)
            self._hit[kind][places] = True

    def unmatched(self) -> dict[str, int]:
        """How many hit nothing, by kind."""
        counts = {kind: len(lookup.hashes) for kind, lookup in self.tombstones.asked.items()}
        left = {kind: count - int(self._hit.get(kind, np.zeros(0)).sum()) for kind, count in counts.items()}
        return {kind: count for kind, count in left.items() if count}


@dataclass(frozen=True)
class Concerned:
    """``pairs``: their pair_ids, ascending. ``images``: the image_ids that no pair which stays has, ascending.

    ``by_sha256``: those of them that were found by an image's bytes. ``extracted``: rows by file of that store.
    """

    pairs: np.ndarray
    images: np.ndarray
    by_sha256: np.ndarray
    extracted: dict[str, int]


def find(place: Place, tombstones: Tombstones, hits: Hits) -> Concerned:
    """What tombstones forbid of what is in an output."""
    pairs, by_sha256 = _by_sha256(place, tombstones, hits)
    stored = _images(place, tombstones, hits)
    in_pool, images = _pairs(place, tombstones, hits, pairs, union([by_sha256, stored], ID))
    pairs, direct = union([pairs, in_pool], np.int64), union([by_sha256, stored], ID)
    # With a text or a pair its image goes where no other pair has it.
    mixed = {TEXT, PAIR_ID} & set(tombstones.asked) or len(pairs) > len(in_pool)
    gone = _without_others(place, pairs, images) if mixed else images
    return Concerned(pairs, union([gone, direct], ID), by_sha256, _extracted(place, tombstones, hits, pairs))


def _by_sha256(place: Place, tombstones: Tombstones, hits: Hits) -> tuple[np.ndarray, np.ndarray]:
    """The pairs in shards, and the images, whose bytes were asked for; with a pair's image that image."""
    lookup = tombstones.asked.get(SHA256)
    if lookup is None:
        return np.zeros(0, np.int64), np.zeros(0, ID)

    def in_shard(index: str) -> np.ndarray:
        table = read_table(index, ["pair_id", "sha256"]).combine_chunks()
        return table["pair_id"].to_numpy()[_hit(lookup, table["sha256"].combine_chunks(), hits)]

    def in_table(path: str) -> np.ndarray:
        table = read_table(place.path(path), ["image_id", *HASHES])
        found = [_hit(lookup, table[name].combine_chunks(), hits) for name in HASHES if name in table.column_names]
        return as_ids(table["image_id"].take(pa.array(union(found, np.int64))))

    ids = union(in_threads(in_shard, place.indexes), np.int64)
    return ids, union([*in_threads(in_table, _image_tables(place)), _images_of(place, ids)], ID)


def _hit(lookup, values: pa.Array, hits: Hits) -> np.ndarray:
    at = lookup.places(values)
    hits.see(SHA256, at[at >= 0])
    return np.flatnonzero(at >= 0)


def _images_of(place: Place, ids: np.ndarray) -> np.ndarray:
    pool = place.pool
    files = place.files(pool) if pool and len(ids) else ()
    return union([as_ids(place.rows_of(path, ids, ["image_id"])["image_id"]) for path in files], ID)


def _image_tables(place: Place) -> list[str]:
    """The files of a row an image: of tables, and of stores."""
    found = [path for table in BY_IMAGE for path in place.files(table)]
    return found + [f"{store}/{name}" for store in place.stores for name in storage.names(place.path(store))
                    if is_table(name)]  # fmt: skip


def _images(place: Place, tombstones: Tombstones, hits: Hits) -> np.ndarray:
    """The images in tables and stores that were asked for by URL, host or image_id; a store has those of old draws."""
    if not {URL, HOST, IMAGE_ID} & set(tombstones.asked):
        return np.zeros(0, ID)

    def look(path: str) -> np.ndarray:
        table = read_table(place.path(path), ["image_id", "url"]).combine_chunks()
        images = table["image_id"].combine_chunks()
        if "url" in table.column_names:
            hit = forbidden(tombstones, table["url"].combine_chunks(), None, hits.see, images=images)
        elif IMAGE_ID in tombstones.asked:
            hit = tombstones.asked[IMAGE_ID].places(images) >= 0
        else:
            return np.zeros(0, ID)
        return as_ids(images.filter(pa.array(hit)))

    return union(in_threads(look, _image_tables(place)), ID)


def _pairs(
    place: Place, tombstones: Tombstones, hits: Hits, ids: np.ndarray, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of the first table that go, with their images; among them those of ``ids`` and ``images``."""
    asked, pool = set(tombstones.asked), place.pool
    columns = ["pair_id", "image_id"]
    columns += ["url"] if asked & {URL, HOST} else []
    columns += ["text"] if TEXT in asked else []

    def look(path: str) -> tuple[np.ndarray, np.ndarray]:
        found, found_images = [], []
        for batch in place.rows(path, columns):
            of_pairs, of_batch = batch.column("pair_id"), batch.column("image_id")
            given = {name: batch.column(name) for name in ("url", "text") if name in columns}
            hit = forbidden(tombstones, given.get("url", of_batch), given.get("text", of_batch), hits.see, of_pairs,
                            of_batch)  # fmt: skip
            hit |= among(of_pairs.to_numpy(), ids)
            if len(images):
                hit |= among(as_ids(of_batch), images)
            if hit.any():
                found.append(of_pairs.to_numpy()[hit])
                found_images.append(as_ids(of_batch.filter(pa.array(hit))))
        return union(found, np.int64), union(found_images, ID)

    parts = in_threads(look, place.files(pool)) if pool else []
    return union([part[0] for part in parts], np.int64), union([part[1] for part in parts], ID)


def _without_others(place: Place, pairs: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The images that no pair but those of ``pairs`` has in the first table."""

    def look(path: str) -> np.ndarray:
        used = []
        for batch in place.rows(path, ["pair_id", "image_id"]):
            found = as_ids(batch.column("image_id"))
            used.append(found[among(found, images) & ~among(batch.column("pair_id").to_numpy(), pairs)])
        return union(used, ID)

    if not len(images):
        return images
    return np.setdiff1d(images, union(in_threads(look, place.files(place.pool)), ID))


def _extracted(place: Place, tombstones: Tombstones, hits: Hits, pairs: np.ndarray) -> dict[str, int]:
    """The rows that go of each file of the store ``extracted/``."""
    folder = place.path(EXTRACTED)
    names = [name for name in storage.names(folder) if name.endswith(".parquet") and name[0] != "."]

    def look(name: str) -> int:
        hit = extracted_rows(storage.join(folder, name), tombstones, pairs, hits)
        return sum(int(part.sum()) for _, part in hit)

    return {name: rows for name, rows in zip(names, in_threads(look, names), strict=True) if rows}


def extracted_rows(path: str, tombstones: Tombstones, pairs: np.ndarray, hits: Hits | None = None):
    """The batches of a file of ``extracted/``, each with which of its rows go."""
    for batch in read_file(path, schema_of(path).names):
        ids = pair_ids(batch.column("url"), batch.column("text"))
        given = (batch.column("url"), batch.column("text"), hits.see if hits else None, pa.array(ids))
        yield batch, forbidden(tombstones, *given) | among(ids, pairs)
