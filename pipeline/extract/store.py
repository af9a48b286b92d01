"""The store ``extracted/``: a Parquet file of pairs for each crawl file, there when the crawl file is done.

What was counted while a crawl file was read is in the footer, so that a finished file tells all of itself. ``ingest``
reads the store as it reads any pool.
"""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.extract.found import Found
from pipeline.extract.inputs import CrawlFile
from pipeline.extract.links import KEPT
from pipeline.extract.options import Extract
from pipeline.extract.repeats import Repeats
from pipeline.extract.watch import UNREADABLE, extract_watched
from pipeline.secrets import public
from pipeline.tombstones.rows import forbidden
from pipeline.tombstones.table import Stored
from pipeline.tombstones.values import REMOVED

FOUND = b"found"
COUNTS = pa.map_(pa.string(), pa.int64())
CRAWL_FILES = pa.schema(
    {
        "path": pa.string(),
        "bytes": pa.int64(),
        "file": pa.string(),
        "records": pa.int64(),
        "pages": COUNTS,
        "links": pa.int64(),
        "dropped": COUNTS,
        "pairs": pa.int64(),
        "relative": pa.int64(),
        "damage": pa.string(),
    }
)
# Rows are held until there are so many, and make a row group.
GROUP_ROWS = 1 << 17
CODED = ["text_source", "page_url", "page_language"]


def finished(folder: str, name: str) -> Found | None:
    """What was found in the crawl file of a table that is there; None where it is not."""
    path = storage.join(folder, name)
    if not storage.exists(path):
        return None
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        return Found.of(pq.read_metadata(file).metadata[FOUND].decode())


def write_pairs(
    folder: str, name: str, file: CrawlFile, kind: str, options: Extract, attempt: str, removed: Stored | None = None
) -> Found:
    """Reads a crawl file and writes its pairs, each (image, text) once, under a hidden name and then its own.

    One that its store does not give whole is not done: nothing of it stays, and a later run asks for it again.
    ``removed``: the tombstones of what is not to come back.
    """
    found, repeats, held, size = Found(), Repeats(), [], 0
    hidden = storage.join(folder, f".{name}-{attempt}")
    filesystem, inner = storage.open_filesystem(hidden)
    parquet = {"compression": "zstd", "use_dictionary": CODED, "write_statistics": False}
    with filesystem.open_output_stream(inner) as out, pq.ParquetWriter(out, KEPT, **parquet) as writer:
        for rows, counted in extract_watched(file.path, kind, options):
            fresh = repeats.fresh(rows, counted)
            fresh = _without_removed(fresh, counted, removed)
            found.add(counted)
            held.append(fresh)
            size += len(fresh)
            if size >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held))
                held, size = [], 0
        if held:
            writer.write_table(pa.Table.from_batches(held))
        writer.add_key_value_metadata({FOUND: found.told()})
    if (found.damage or "").startswith(UNREADABLE):
        storage.remove(hidden)
        return Found(damage=found.damage)
    storage.sync(hidden)
    storage.replace(hidden, storage.join(folder, name))
    return found


def _without_removed(rows: pa.RecordBatch, found: Found, removed: Stored | None) -> pa.RecordBatch:
    if removed is None or not rows.num_rows:
        return rows
    hit = forbidden(removed.loaded(), rows.column("url"), rows.column("text"))
    if gone := int(hit.sum()):
        found.pairs -= gone
        found.dropped[REMOVED] += gone
    return rows.filter(pa.array(~hit))


def line(file: CrawlFile, name: str, found: Found) -> pa.RecordBatch:
    """A row of ``CRAWL_FILES``."""
    row = {
        "path": public(file.path), "bytes": file.size, "file": name, "records": found.records, "links": found.links,
        "pages": list(found.pages.items()), "dropped": list(found.dropped.items()), "pairs": found.pairs,
        "relative": found.relative, "damage": found.damage,
    }  # fmt: skip
    return pa.RecordBatch.from_pylist([row], schema=CRAWL_FILES)
