"""The pairs of one crawl file, a stream of records."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa

from pipeline.extract.found import Found
from pipeline.extract.links import SENT
from pipeline.extract.options import Extract
from pipeline.extract.pairs import kept_pairs
from pipeline.extract.records import Records
from pipeline.extract.warc import Answers
from pipeline.extract.wat import Metadata

Part = tuple[pa.RecordBatch, Found, int]
READERS = {"wat": Metadata, "warc": Answers}
PART_RECORDS = 1 << 14


def extract_file(
    stream: BinaryIO, kind: str, options: Extract, start: int = 0, skip: frozenset[int] = frozenset(),
    end: int | None = None, at: Callable[[int | None], None] = lambda record: None,
) -> Iterator[Part]:  # fmt: skip
    """The pairs (``SENT``) of records, what was counted over them, and the number of the record after.

    ``start``: the number of the first record that is looked at, ``end`` of the one before which reading stops;
    ``skip``: those that are passed by, which are not counted. ``at`` is told which record is being parsed, and None
    when it is not. The last part has the ``damage``.
    """
    reader, found, number, pages = READERS[kind](options, at), Found(), -1, 0
    records = Records(stream, options.most_page_bytes)
    for number, (record, content) in enumerate(records):
        if number == end:
            break
        if number < start or number in skip:
            continue
        found.records += 1
        reader.add(number, record, content, found.pages)
        if reader.is_full or found.records >= PART_RECORDS:
            yield from _parts(reader, found, number + 1)
            pages += found.pages.total()
            found = Found()
    yield from _parts(reader, found, number + 1)
    pages += found.pages.total()
    damage = records.damage
    if number >= start and not (pages or skip or damage):
        damage = f"has no record of a page, as a {kind.upper()} file has"
    yield pa.RecordBatch.from_pylist([], schema=SENT), Found(damage=damage), number + 1


def _parts(reader: Metadata | Answers, found: Found, after: int) -> Iterator[Part]:
    """The images that the reader holds, with what was counted; ``after``: the number of the record after."""
    yield kept_pairs(reader.batch(found.pages), found), found, after
    while reader.left:
        more = Found()
        yield kept_pairs(reader.batch(more.pages), more), more, after
