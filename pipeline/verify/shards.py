"""Shards: tars against their index, and their samples against the table of pairs that they are of."""

import hashlib
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.files import Files
from pipeline.recipe import pairs_table
from pipeline.recipe_file import found_path
from pipeline.shards.folder import MANIFEST, OURS
from pipeline.shards.tar import INDEX, sample_key
from pipeline.tars.members import members
from pipeline.tars.window import Window, ahead_of
from pipeline.verify.files import differing
from pipeline.verify.ids import ids_of, told_apart
from pipeline.verify.opened import Opened

SIGN = np.uint64(1 << 63)


def check_shards(found: Opened, whole: Callable[[str], bool], advance: Callable[[int], None]) -> Iterator[str]:
    """What is wrong with the shards. ``whole``: whether a file of the output is what the manifest says.

    ``advance`` is told the bytes of each shard that was looked at.
    """
    folder = found.recipe.shards.folder
    place = found.path("shards") if folder is None else found_path(folder)
    lines = storage.read_json(storage.join(place, MANIFEST))
    lines = lines.get("shards") if isinstance(lines, dict) else None
    if not isinstance(lines, list):
        yield f"shards/{MANIFEST}: does not list the shards"
        return
    if folder is not None:
        yield from _elsewhere(place, lines)
    twice, last, seen = 0, None, []
    for line in lines:
        name = line["shard"].removesuffix(".tar")
        files = [f"shards/{name}{ending}" for ending in (".tar", ".parquet", "_stats.json")]
        if folder is None and not all(map(whole, files)):
            advance(line["bytes"])
            seen.append(None)
            continue
        try:
            keys = yield from _check_shard(place, name, line, found)
        except (OSError, pa.ArrowException, tarfile.TarError, ValueError, KeyError) as problem:
            yield f"shards/{name}: cannot be read: {' '.join(str(problem).split())}"
            keys = None
        advance(line["bytes"])
        seen.append(keys)
        if keys is None or not len(keys):
            continue
        if len(np.unique(keys)) < len(keys) or (last is not None and keys.min() <= last):
            twice += 1
            again = last is not None and keys.min() <= last
            yield f"shards/{name}.tar: has keys {'of a shard before it' if again else 'twice'}, or out of order"
        last = keys.max() if last is None else max(last, keys.max())
    if not twice and all(keys is not None for keys in seen):
        yield from _members_of_table(found, lines, seen, whole)


def _check_shard(place: str, name: str, line: dict[str, Any], found: Opened) -> Iterator[str]:
    """Yields what is wrong with one shard; returns its keys as unsigned numbers."""
    said = found.files.get(f"shards/{name}.tar")
    if said and said["sha256"] != line["sha256"]:
        yield f"shards/{MANIFEST}: another SHA-256 of {name}.tar than in the output's manifest"
    if storage.read_json(storage.join(place, f"{name}_stats.json")) != line:
        yield f"shards/{name}_stats.json: does not say what shards/{MANIFEST} says"
    filesystem, inner = storage.open_filesystem(storage.join(place, f"{name}.parquet"))
    with filesystem.open_input_file(inner) as file:
        index = pq.read_table(file)
    if not index.schema.equals(INDEX):
        yield f"shards/{name}.parquet: has other columns than an index"
        return None
    if index.num_rows != line["samples"]:
        yield f"shards/{name}.parquet: has {index.num_rows:,} samples, shards/{MANIFEST} says {line['samples']:,}"
    rows = index.to_pylist()
    wrong = next((row for row in rows if row["key"] != sample_key(row["pair_id"])), None)
    if wrong:
        yield f"shards/{name}.parquet: key {wrong['key']} is not that of pair {wrong['pair_id']}"
    yield from _offsets(storage.join(place, f"{name}.tar"), name, rows)
    return index["pair_id"].to_numpy().view(np.uint64)


def _offsets(tar: str, name: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Holds the headers of a tar against its index, and the images against their SHA-256; the first difference."""
    wanted = {
        f"{row['key']}.{row['extension'] if kind == 'image' else kind}": (row[f"{kind}_offset"], row[f"{kind}_size"])
        for row in rows
        for kind in ("image", "json", "txt")
    }
    images = {f"{row['key']}.{row['extension']}": row["sha256"] for row in rows}
    filesystem, inner = storage.open_filesystem(tar)
    with filesystem.open_input_file(inner) as file:
        window = Window(file, ahead_of(filesystem))
        for member, _, offset, size in members(window):
            if offset + size > window.end:
                yield f"shards/{name}.tar: ends within {member}"
                return
            if (said := wanted.pop(member, None)) != (offset, size):
                where = f"at {said[0]:,} with {said[1]:,} bytes" if said else "nothing"
                yield f"shards/{name}.parquet: {member} is at {offset:,} with {size:,} bytes, the index has {where}"
                return
            if member in images and hashlib.sha256(window.read_at(size, offset)).hexdigest() != images[member]:
                yield f"shards/{name}.tar: {member} is not the image whose SHA-256 the index has"
                return
    if wanted:
        yield f"shards/{name}.tar: {next(iter(wanted))} is missing, which the index has"


def _members_of_table(
    found: Opened, lines: list[dict[str, Any]], seen: list[np.ndarray], whole: Callable[[str], bool]
) -> Iterator[str]:
    """Holds the samples of all shards against the table: none that it does not have, the others counted by reason."""
    table = pairs_table(found.recipe)
    paths = found.of_table(table)
    if not paths or not all(map(whole, paths)):
        return
    files = Files(tuple(map(found.path, paths)))
    # Keys ascend as unsigned numbers: the pairs from zero up come first, then the negative ones.
    samples = [(line["shard"], keys) for line, keys in zip(lines, seen, strict=True)]
    for negative in (True, False):
        parts = ((name, np.sort(keys[(keys >= SIGN) == negative].view(np.int64))) for name, keys in samples)
        for name, ids in parts:
            if not len(ids):
                continue
            here = (batch.column("pair_id").to_numpy() for batch in
                    files.read_ids(int(ids[0]), int(ids[-1]) + 1, ["pair_id"]))  # fmt: skip
            strange = next((part for _, part in told_apart([ids], here) if len(part)), None)
            if strange is not None:
                yield f"shards/{name}: sample {sample_key(int(strange[0]))} is not in {table}"
    there = sum(len(keys) for keys in seen)
    dropped = sum(found.records["shards"].dropped.values()) if "shards" in found.records else 0
    rows = sum(map(len, ids_of(files)))
    if there + dropped != rows:
        yield f"shards: {there:,} samples and {dropped:,} dropped, but {table} has {rows:,} pairs"


def _elsewhere(place: str, lines: list[dict[str, Any]]) -> Iterator[str]:
    """Files of shards in a folder of their own: missing, extra, and tars that are not what their manifest says."""
    there = {name for name in storage.names(place) if OURS.fullmatch(name)}
    names = [line["shard"].removesuffix(".tar") for line in lines]
    wanted = {f"{name}{ending}" for name in names for ending in (".tar", ".parquet", "_stats.json")} | {"sizes.json"}
    yield from (f"{storage.join(place, name)}: extra: not in {MANIFEST}" for name in sorted(there - wanted))
    yield from (f"{storage.join(place, name)}: missing" for name in sorted(wanted - there))
    tars = [
        (path := storage.join(place, line["shard"]), {"path": path, "sha256": line["sha256"], "bytes": line["bytes"]})
        for line in lines
        if line["shard"] in there
    ]
    for path, wrong in differing(tars, lambda _: None):
        yield f"{path}: {wrong}"
