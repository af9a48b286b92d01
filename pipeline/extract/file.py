"""The pairs of one crawl file, a stream of records."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa

from pipeline.extract.found import Found
from pipeline.extract.links import SENT
from pipeline.extract.options import Extract
from pipeline.extract.pairs import kept_pairs
from pipeline.extract.records import BEGINNING, Place, Records
from pipeline.extract.warc import Answers
from pipeline.extract.wat import Metadata

Part = tuple[pa.RecordBatch, Found, Place]
READERS = {"wat": Metadata, "warc": Answers}
PART_RECORDS = 1 << 14


def extract_file(
    stream: BinaryIO, kind: str, options: Extract, after: Place = BEGINNING, skip: frozenset[int] = frozenset(),
    end: int | None = None, at: Callable[[int | None], None] = lambda record: None,
) -> Iterator[Part]:  # fmt: skip
    """The pairs (``SENT``) of records, what was counted over them, and the place behind which reading goes on.

    ``after``: such a place. ``end``: the number of the record before which reading stops; ``skip``: those that are
    passed by, which are not counted. ``at`` is told which record is being parsed, and None when it is not. The last
    part has the ``damage``.
    """
    reader, found, pages = READERS[kind](options, at), Found(), 0
    records = Records(stream, options.most_page_bytes, after)
    for number, record, content in records:
        if number == end:
            break
        if number <= after.number or number in skip:
            continue
        found.records += 1
        reader.add(number, record, content, found.pages)
        if reader.is_full or found.records >= PART_RECORDS:
            yield from _parts(reader, found, records.place)
            pages += found.pages.total()
            found = Found()
    yield from _parts(reader, found, records.place)
    pages += found.pages.total()
    damage = records.damage
    if records.number > after.number and not (pages or skip or damage):
        damage = f"has no record of a page, as a {kind.upper()} file has"
    yield pa.RecordBatch.from_pylist([], schema=SENT), Found(damage=damage), records.place


def _parts(reader: Metadata | Answers, found: Found, place: Place) -> Iterator[Part]:
    """The images that the reader holds, with what was counted; ``place``: of the last record."""
    yield kept_pairs(reader.batch(found.pages), found), found, place
    while reader.left:
        more = Found()
        yield kept_pairs(reader.batch(more.pages), more), more, place
