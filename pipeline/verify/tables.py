"""Tables against each other: schemas, order, no pair twice, no pair that the table before does not have."""

from collections.abc import Callable, Iterator, Set

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.files import Files, read_file
from pipeline.buckets.hashing import pair_ids
from pipeline.shards.tar import sample_key
from pipeline.verify.ids import first_not_ascending, ids_of, told_apart
from pipeline.verify.opened import Opened

# The tables in the order of pair_id, each with the one that has all of its pairs.
BEFORE = {"pairs": None, "matched": "pairs", "clusters": "matched", "curated": "matched", "filtered": "curated",
          "final": "filtered"}  # fmt: skip
REMOVED = "kept"  # the column of `clusters` that is false for pairs that went


def check_table(found: Opened, table: str, columns: pa.Schema | None, usable: Set[str]) -> Iterator[str]:
    """What is wrong with one table; ``columns``: those that it has at least.

    ``usable``: the tables whose files are whole, so that others are held against them.
    """
    files = Files(tuple(found.path(path) for path in found.of_table(table)))
    yield from check_schemas(found, table, columns)
    if table not in BEFORE or not files.paths:
        return
    if wrong := first_not_ascending(ids_of(files)):
        yield f"{table}: pair {wrong[0]} is there {'twice' if wrong[1] else 'after a larger one'}"
        return
    before = BEFORE[table]
    if before and before in usable:
        yield from _strangers(files, table, found, before)
    if table == "curated" and "clusters" in usable:
        clusters = Files(tuple(found.path(path) for path in found.of_table("clusters")))
        gone = _first(there for there, _ in told_apart(ids_of(files), ids_of(clusters, REMOVED)))
        if gone is not None:
            yield f"curated: pair {gone} is there, which clusters removed as a near-duplicate"
    if table == "clusters":
        removed, said = sum(map(len, ids_of(files, REMOVED))), _dropped(found, "dedupe")
        if removed != said:
            yield f"clusters: {removed:,} pairs are removed, .stages/dedupe.json says {said:,}"
    if table == "pairs":
        yield from _copies(found, files)


def check_schemas(found: Opened, table: str, columns: pa.Schema | None) -> Iterator[str]:
    """The files of a table whose schema or number of rows is not what it should be."""
    first = None
    for path in found.of_table(table):
        if not path.endswith(".parquet"):
            continue
        filesystem, inner = storage.open_filesystem(found.path(path))
        with filesystem.open_input_file(inner) as file:
            footer = pq.read_metadata(file)
        schema = footer.schema.to_arrow_schema().remove_metadata()
        if footer.num_rows != found.files[path].get("rows"):
            yield f"{path}: has {footer.num_rows:,} rows, the manifest says {found.files[path].get('rows')}"
        for field in columns or ():
            at = schema.get_field_index(field.name)
            if at < 0:
                yield f"{path}: has no column {field.name}"
            elif not _same(schema.field(at).type, field.type):
                yield f"{path}: column {field.name} is {schema.field(at).type}, {field.type} is written"
        first = first or (path, schema)
        if schema.names != first[1].names or not all(map(_same, schema.types, first[1].types)):
            yield f"{path}: has other columns than {first[0]}"


def check_ids(found: Opened, table: str, advance: Callable[[int], None]) -> Iterator[str]:
    """The first pair of a table whose pair_id is not that of its URL and text."""
    for path in found.of_table(table):
        for batch in read_file(found.path(path), ["pair_id", "url", "text"]):
            wrong = pair_ids(batch.column("url"), batch.column("text")) != batch.column("pair_id").to_numpy()
            if wrong.any():
                yield f"{path}: pair {batch.column('pair_id')[int(wrong.argmax())]} is not that of its URL and text"
                return
            advance(batch.num_rows)


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types are one, whatever the fields of a list are called and whether they may be null."""
    if pa.types.is_list(one) and pa.types.is_list(other):
        return _same(one.value_type, other.value_type)
    return one == other


def _strangers(files: Files, table: str, found: Opened, before: str) -> Iterator[str]:
    others = Files(tuple(found.path(path) for path in found.of_table(before)))
    stranger = _first(gone for _, gone in told_apart(ids_of(files), ids_of(others)))
    if stranger is not None:
        yield f"{table}: pair {stranger} (key {sample_key(stranger)}) is not in {before}"


def _first(parts: Iterator[np.ndarray]) -> int | None:
    return next((int(ids[0]) for ids in parts if len(ids)), None)


def _copies(found: Opened, files: Files) -> Iterator[str]:
    """Holds the repeats that ``copies`` counts against those of the account."""
    repeats = 0
    for batch in files.read(0, 1, ["pair_id", "copies"]):
        repeats += int(batch.column("copies").to_numpy().sum()) - batch.num_rows
    if (said := _dropped(found, "ingest", "duplicate")) != repeats:
        yield f"pairs: copies count {repeats:,} repeats, .stages/ingest.json says {said:,}"


def _dropped(found: Opened, stage: str, *reasons: str) -> int:
    dropped = found.records[stage].dropped if stage in found.records else {}
    return sum(rows for reason, rows in dropped.items() if not reasons or reason in reasons)
