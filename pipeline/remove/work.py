"""A removal that is decided: what is to be done, in a hidden folder of the output, so that whoever comes next ends it.

``plan.json`` comes last, and with it the removal is decided. Everything that is done by it may be done again: what is
gone is gone, what is written is written from what is here and in the files themselves.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.record import Record
from pipeline.remove.find import Concerned
from pipeline.remove.listed import Listed
from pipeline.remove.place import ID, read_table, table_bytes

FOLDER, PLAN = ".removal", "plan.json"


@dataclass(frozen=True)
class Work:
    """``told``: the line of removals.json. ``counts``: files that are written as they are, by path below the output."""

    told: dict[str, Any]
    tombstones: pa.Table
    salt: bytes
    pairs: np.ndarray
    images: np.ndarray
    clusters: tuple[np.ndarray, np.ndarray]
    files: list[str]
    fetched: list[dict[str, Any]]
    extracted: list[str]
    shards: list[str]
    counts: dict[str, bytes]
    records: dict[str, Record]
    rebalance: bool

    @property
    def name(self) -> str:
        """The removal's own name."""
        return self.told["id"]


def new_work(
    told: dict[str, Any], tombstones: pa.Table, salt: bytes, found: Concerned, listed: Listed, counts: dict[str, bytes],
    records: dict[str, Record], rebalance: bool,
) -> Work:  # fmt: skip
    """The work of what was found."""
    return Work(
        told, tombstones, salt, found.pairs, found.images, listed.clusters, listed.files, listed.fetched,
        sorted(found.extracted), sorted(listed.samples), counts, records, rebalance,
    )  # fmt: skip


def save(output: str, work: Work) -> None:
    """Writes a removal down: it is decided then."""
    folder = storage.join(output, FOLDER)
    storage.remove(folder)
    storage.make_folder(folder)
    images = pa.array(work.images.astype(str), pa.string())
    tables = {
        "pairs": pa.table({"pair_id": work.pairs}),
        "images": pa.table({"image_id": images}),
        "clusters": pa.table({"cluster_id": work.clusters[0], "smallest": work.clusters[1]}),
        "tombstones": work.tombstones,
    }
    for name, table in tables.items():
        storage.write_bytes(storage.join(folder, f"{name}.parquet"), table_bytes(table))
    paths = sorted(work.counts)
    for number, path in enumerate(paths):
        storage.write_bytes(storage.join(folder, f"counts-{number}"), work.counts[path])
    plan = {
        "told": work.told, "salt": work.salt.hex(), "files": work.files, "fetched": work.fetched,
        "extracted": work.extracted, "shards": work.shards, "counts": paths, "rebalance": work.rebalance,
        "records": {name: asdict(record) for name, record in work.records.items()},
    }  # fmt: skip
    storage.write_json(storage.join(folder, PLAN), plan)


def unfinished(output: str) -> bool:
    """Whether a removal is decided and not ended."""
    return storage.exists(storage.join(output, FOLDER, PLAN))


def is_left(output: str) -> bool:
    """Whether something of a removal is left: one that is not ended, or what a killed one did not come to remove."""
    return storage.exists(storage.join(output, FOLDER))


def load(output: str) -> Work:
    """The removal that is decided."""
    folder = storage.join(output, FOLDER)
    plan = storage.read_json(storage.join(folder, PLAN))
    read = {name: read_table(storage.join(folder, f"{name}.parquet")) for name in
            ("pairs", "images", "clusters", "tombstones")}  # fmt: skip
    counts = {path: storage.read_bytes(storage.join(folder, f"counts-{n}")) for n, path in enumerate(plan["counts"])}
    return Work(
        told=plan["told"],
        tombstones=read["tombstones"],
        salt=bytes.fromhex(plan["salt"]),
        pairs=read["pairs"]["pair_id"].to_numpy(),
        images=np.array(read["images"]["image_id"].to_pylist(), ID),
        clusters=(read["clusters"]["cluster_id"].to_numpy(), read["clusters"]["smallest"].to_numpy()),
        files=plan["files"],
        fetched=plan["fetched"],
        extracted=plan["extracted"],
        shards=plan["shards"],
        counts=counts,
        records={name: Record(**values) for name, values in plan["records"].items()},
        rebalance=plan["rebalance"],
    )


def end(output: str) -> None:
    """Forgets a removal that is done: the plan first, without which the rest says nothing."""
    storage.remove(storage.join(output, FOLDER, PLAN))
    storage.remove(storage.join(output, FOLDER))
