"""Tars without the samples that go: those of shards, and those of fetched images, written again beside the old ones."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.buckets.keys import among
from pipeline.images.fetch import remove_unnamed
from pipeline.remove.place import FETCHED, SHARDS, Place, as_ids, read_table, table_bytes
from pipeline.remove.work import Work
from pipeline.shards.folder import MANIFEST
from pipeline.tars.members import members
from pipeline.tars.sink import open_sink
from pipeline.tars.tar import TarWriter
from pipeline.tars.window import Window, ahead_of

TEXTS = ("json", "txt")
SIZES = "sizes.json"


def rewrite_fetched(place: Place, work: Work, advance: Callable[[int], None]) -> None:
    """Writes the listed tars of stores under their new names, then the tables that name them; the old tars go."""
    for line in work.fetched:
        folder = place.path(line["folder"])
        path, old = storage.join(folder, line["table"]), storage.join(folder, line["tar"] or "none")
        rows = read_table(path)
        gone = among(as_ids(rows["image_id"]), work.images)
        left = rows.filter(pa.array(~gone))
        if line["tar"] and pc.any(pc.equal(rows["shard"], line["tar"])).as_py():
            left = _fetched_anew(folder, line, left)
        if gone.any() or line["tar"]:
            storage.write_bytes(path, table_bytes(left))
        if line["tar"]:
            storage.remove(old)
        advance(1)
    named = [
        tar
        for path in place.files("images")
        for tar in pc.unique(read_table(place.path(path), ["shard"])["shard"].drop_null()).to_pylist()
    ]
    for store in place.stores:
        remove_unnamed(place.path(store), named if store == FETCHED else ())


def _fetched_anew(folder: str, line: dict[str, str], left: pa.Table) -> pa.Table:
    """Writes the tar of the images that are left, where there are any; returns their rows with their new places."""
    came = pc.equal(left["shard"], line["tar"])
    keys = set(left.filter(came)["key"].to_pylist())
    if not keys:
        return left
    places = _copied(storage.join(folder, line["tar"]), storage.join(folder, line["new"]), keys)[0]
    rows = left.to_pylist()
    for row in rows:
        if row["shard"] == line["tar"]:
            offset, size = places[f"{row['key']}.{row['format']}"]
            row |= {"shard": line["new"], "image_offset": offset, "image_size": size}
    return pa.Table.from_pylist(rows, left.schema)


def _copied(source: str, target: str, keys: set[str]) -> tuple[dict[str, tuple[int, int]], TarWriter]:
    """Copies the members of some keys into another tar; the places of their contents there by name, and its writer."""
    filesystem, inner = storage.open_filesystem(source)
    path = storage.open_filesystem(target)[1]
    places = {}
    with filesystem.open_input_file(inner) as file, open_sink(filesystem, f"{path}.part") as sink:
        tar, window = TarWriter(sink), Window(file, ahead_of(filesystem))
        for name, _, offset, size in members(window):
            if name.split(".", 1)[0] in keys:
                places[name] = tar.add(name, window.read_at(size, offset))
        tar.end()
    filesystem.move(f"{path}.part", path)
    return places, tar


def rewrite_shards(place: Place, work: Work, advance: Callable[[int], None]) -> None:
    """Writes the listed shards again: the tar, what is said of it, and its index last, which tells that it is done."""
    folder = place.shards
    for name in work.shards:
        path = storage.join(folder, f"{name}.parquet")
        index = read_table(path)
        left = index.filter(pa.array(~among(index["pair_id"].to_numpy(), work.pairs)))
        if left.num_rows < index.num_rows:
            tar = storage.join(folder, f"{name}.tar")
            places, writer = _copied(tar, tar, set(left["key"].to_pylist()))
            line = storage.read_json(storage.join(folder, f"{name}_stats.json"))
            line |= {"samples": left.num_rows, "bytes": writer.size, "sha256": writer.digest.hexdigest()}
            storage.write_json(storage.join(folder, f"{name}_stats.json"), line)
            storage.write_bytes(path, table_bytes(_with_places(left, places)))
        advance(1)
    if work.shards:
        _tell(place, set(work.shards))


def _with_places(index: pa.Table, places: dict[str, tuple[int, int]]) -> pa.Table:
    rows = index.to_pylist()
    for row in rows:
        for kind in ("image", *TEXTS):
            name = f"{row['key']}.{row['extension'] if kind == 'image' else kind}"
            row[f"{kind}_offset"], row[f"{kind}_size"] = places[name]
    return pa.Table.from_pylist(rows, index.schema)


def _tell(place: Place, names: set[str]) -> None:
    """Writes what the shards say of themselves into the lists of them, which are in the output too."""
    manifest = storage.read_json(storage.join(place.shards, MANIFEST))
    lines: list[dict[str, Any]] = [_line(place, line, names) for line in manifest["shards"]]
    totals = {name: sum(line[name] for line in lines) for name in ("samples", "bytes")}
    for folder in dict.fromkeys((place.path(SHARDS), place.shards)):
        storage.write_json(storage.join(folder, SIZES), {line["shard"]: line["samples"] for line in lines})
        storage.write_json(storage.join(folder, MANIFEST), manifest | totals | {"shards": lines})


def _line(place: Place, line: dict[str, Any], names: set[str]) -> dict[str, Any]:
    name = line["shard"].removesuffix(".tar")
    return storage.read_json(storage.join(place.shards, f"{name}_stats.json")) if name in names else line
