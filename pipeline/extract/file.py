"""The pairs of one crawl file, a stream of records."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa
from fastwarc.warc import WarcRecordType

from pipeline.extract.found import Found
from pipeline.extract.links import Links
from pipeline.extract.options import Extract
from pipeline.extract.pairs import kept_pairs
from pipeline.extract.records import Records
from pipeline.extract.warc import TOO_LARGE, read_response
from pipeline.extract.wat import NO_PAGE, TEXTS, page_url, read_metadata

Part = tuple[pa.RecordBatch, Found, int]
# So many links, records or bytes of records are read before their pairs are handed out.
PART_LINKS, PART_RECORDS, PART_BYTES = 1 << 15, 1 << 14, 64 << 20


def extract_file(
    stream: BinaryIO, kind: str, options: Extract, start: int = 0, skip: frozenset[int] = frozenset(),
    end: int | None = None, at: Callable[[int | None], None] = lambda record: None,
) -> Iterator[Part]:  # fmt: skip
    """The pairs (``SENT``) of records, what was counted over them, and the number of the record after.

    ``start``: the number of the first record that is looked at, ``end`` of the one before which reading stops;
    ``skip``: those that are passed by, which are not counted. ``at`` is told which record is being parsed, and None
    when it is not. The last part has the ``damage``.
    """
    links, found, number, size, pages = Links(_texts(options)), Found(), -1, 0, 0
    read = {"wat": _read_wat, "warc": _read_warc}[kind]
    records = Records(stream, options.most_page_bytes)
    for number, (record, content) in enumerate(records):
        if number == end:
            break
        if number < start or number in skip:
            continue
        found.records += 1
        size += len(content or b"")
        at(number)
        if (page := read(record, content, links, options)) is not None:
            found.pages[page] += 1
            pages += 1
        at(None)
        if len(links) >= PART_LINKS or found.records >= PART_RECORDS or size >= PART_BYTES:
            while True:
                yield kept_pairs(links.batch(), found), found, number + 1
                found, size = Found(), 0
                if not len(links):
                    break
    while len(links) > PART_LINKS:
        yield kept_pairs(links.batch(), found), found, number + 1
        found = Found()
    found.damage = records.damage
    if number >= start and not (pages or skip or found.damage):
        found.damage = f"has no record of a page, as a {kind.upper()} file has"
    yield kept_pairs(links.batch(), found), found, number + 1


def _read_wat(record, content: bytes | None, links: Links, options: Extract) -> str | None:
    """What became of the page of a metadata record; None for other records."""
    if record.record_type != WarcRecordType.metadata:
        return NO_PAGE if record.record_type == WarcRecordType.response else None
    if content is None:
        return TOO_LARGE
    return read_metadata(content, record.headers.get("WARC-Target-URI"), links, options)


def _read_warc(record, content: bytes | None, links: Links, options: Extract) -> str | None:
    """What became of the page of a response; None for other records."""
    if record.record_type != WarcRecordType.response:
        return None
    if content is None:
        return TOO_LARGE
    return read_response(content, page_url(record.headers.get("WARC-Target-URI")), links, options)


def _texts(options: Extract) -> tuple[str, ...]:
    """The attributes that are texts, in their order."""
    return tuple(name for name in TEXTS if name in options.text_sources)
