"""Tables without the rows that go: the files that hold some are written again, the others are not touched."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.files import CODED, read_file, write_bucket
from pipeline.buckets.keys import among
from pipeline.extract.found import Found
from pipeline.extract.store import CODED as CODED_LINKS
from pipeline.extract.store import CRAWL_FILES, FOUND, GROUP_ROWS
from pipeline.ingest.contents import FILES, INPUTS, sampled
from pipeline.remove.find import extracted_rows
from pipeline.remove.place import BY_PAIR, EXTRACTED, FETCHED, Place, as_ids, read_table, schema_of, table_bytes
from pipeline.remove.work import Work
from pipeline.tombstones.table import Salt, Tombstones
from pipeline.tombstones.values import REMOVED

ATTEMPT = "removal"
WITHOUT_CODES = ("pairs", "matched")  # whose other columns are not tried with a dictionary
PLACE = ("shard", "image_offset", "image_size")


def rewrite_tables(place: Place, work: Work, advance: Callable[[int], None]) -> None:
    """Writes the listed files of tables of pairs and of images again."""
    moved = {line["tar"]: line for line in work.fetched if line["tar"] and line["folder"] == FETCHED}
    for path in work.files:
        table = path.split("/")[0]
        if table in BY_PAIR:
            _rewrite_pairs(place, path, work)
        else:
            _rewrite_images(place, path, work, moved)
        advance(1)


def _rewrite_pairs(place: Place, below: str, work: Work) -> None:
    table, name = below.split("/")
    number, path = int(name.removeprefix("part-").removesuffix(".parquet")), place.path(below)

    def left() -> Iterator[pa.RecordBatch]:
        for batch in read_file(path):
            batch = batch.filter(pa.array(~among(batch.column("pair_id").to_numpy(), work.pairs)))
            if table == "clusters":
                batch = _with_other_ids(batch, *work.clusters)
            if batch.num_rows:
                yield batch

    coded = CODED if table in WITHOUT_CODES else True
    write_bucket(place.path(table), number, ATTEMPT, left(), schema_of(path), coded)


def _with_other_ids(rows: pa.RecordBatch, old: np.ndarray, new: np.ndarray) -> pa.RecordBatch:
    """Rows of ``clusters`` whose clusters are called by the smallest pair that is left."""
    ids = rows.column("cluster_id").to_numpy()
    hit = among(ids, old)
    if not hit.any():
        return rows
    ids = ids.copy()
    ids[hit] = new[np.searchsorted(old, ids[hit])]
    at = rows.schema.get_field_index("cluster_id")
    return rows.set_column(at, rows.schema.field(at), pa.array(ids))


def _rewrite_images(place: Place, path: str, work: Work, moved: dict[str, dict]) -> None:
    """Writes a file of a table of images: without those that go, and with the places of the others in new tars."""
    rows = read_table(place.path(path))
    rows = rows.filter(pa.array(~among(as_ids(rows["image_id"]), work.images)))
    if "shard" in rows.column_names and moved:
        rows = _with_new_places(place, rows, moved)
    coding = _compression(place.path(path))
    storage.write_bytes(place.path(path), table_bytes(rows, compression=coding))


def _with_new_places(place: Place, rows: pa.Table, moved: dict[str, dict]) -> pa.Table:
    shards = rows["shard"].combine_chunks()
    hit = pc.is_in(shards, value_set=pa.array(sorted(moved), pa.string()))
    tables = {moved[tar]["table"] for tar in pc.unique(shards.filter(hit)).to_pylist()}
    if not tables:
        return rows
    columns = ["image_id", *PLACE]
    new = pa.concat_tables(read_table(place.path(f"{FETCHED}/{name}"), columns) for name in sorted(tables))
    new = new.filter(pc.is_valid(new["shard"]))
    found = {row.pop("image_id"): row for row in new.to_pylist()}
    at = np.flatnonzero(hit.to_numpy(zero_copy_only=False))
    for column in PLACE:
        values = rows[column].to_pylist()
        for row, image in zip(at.tolist(), rows["image_id"].take(pa.array(at)).to_pylist(), strict=True):
            values[row] = found[image][column]
        where = rows.schema.get_field_index(column)
        rows = rows.set_column(where, rows.schema.field(where), pa.array(values, rows.schema.field(where).type))
    return rows


def _compression(path: str) -> str:
    """How a file's columns are packed."""
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        footer = pq.read_metadata(file)
    packed = footer.row_group(0).column(0).compression if footer.num_row_groups else "ZSTD"
    return "none" if packed == "UNCOMPRESSED" else packed.lower()


def rewrite_extracted(place: Place, work: Work, advance: Callable[[int], None]) -> None:
    """Writes listed files of ``extracted/`` without the rows that go, and what ``crawl_files`` says of them."""
    tombstones = Tombstones.of(work.tombstones, Salt(work.salt))
    folder = place.path(EXTRACTED)
    for name in work.extracted:
        path = storage.join(folder, name)
        filesystem, inner = storage.open_filesystem(path)
        with filesystem.open_input_file(inner) as file:
            found = Found.of(pq.read_metadata(file).metadata[FOUND].decode())
        schema = schema_of(path).remove_metadata()
        hidden = storage.open_filesystem(storage.join(folder, f".{name}-{ATTEMPT}"))[1]
        options = {"compression": "zstd", "use_dictionary": CODED_LINKS, "write_statistics": False}
        held, size = [], 0
        with filesystem.open_output_stream(hidden) as out, pq.ParquetWriter(out, schema, **options) as writer:
            for batch, goes in extracted_rows(path, tombstones, work.pairs):
                gone = int(goes.sum())
                found.pairs -= gone
                if gone:
                    found.dropped[REMOVED] += gone
                held.append(batch.filter(pa.array(~goes)))
                size += held[-1].num_rows
                if size >= GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(held, schema))
                    held, size = [], 0
            if size:
                writer.write_table(pa.Table.from_batches(held, schema))
            writer.add_key_value_metadata({FOUND: found.told()})
        filesystem.move(hidden, inner)
        advance(1)
    if work.extracted:
        _tell_of_files(place, set(work.extracted))
        _tell_of_inputs(place, set(work.extracted))


def _tell_of_files(place: Place, names: set[str]) -> None:
    """Writes what the files of the store say of themselves into ``crawl_files``."""
    for path in place.files("crawl_files"):
        rows = read_table(place.path(path)).to_pylist()
        for row in rows:
            if row["file"] in names:
                filesystem, inner = storage.open_filesystem(place.path(f"{EXTRACTED}/{row['file']}"))
                with filesystem.open_input_file(inner) as file:
                    found = Found.of(pq.read_metadata(file).metadata[FOUND].decode())
                row |= {"pairs": found.pairs, "dropped": list(found.dropped.items())}
        storage.write_bytes(place.path(path), table_bytes(pa.Table.from_pylist(rows, CRAWL_FILES)))


def _tell_of_inputs(place: Place, names: set[str]) -> None:
    """Writes what files of the store are now into the list of those that ``pairs`` was made of, so that it knows them
    when more are added."""
    for path in place.files(f"pairs/{INPUTS}"):
        rows = read_table(place.path(path)).to_pylist()
        for row in rows:
            if (name := storage.base_name(row["path"])) in names:
                [(file, size, modified)] = storage.list_files(place.path(f"{EXTRACTED}/{name}"))
                row |= {"bytes": size, "modified": modified, "sampled": sampled(file)}
        storage.write_bytes(place.path(path), table_bytes(pa.Table.from_pylist(rows, FILES)))
