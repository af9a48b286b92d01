"""WARC: the pages themselves, an HTTP answer each."""

import re
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline.extract.answer import message
from pipeline.extract.charset import utf8_page
from pipeline.extract.coding import BadCoding, TooLarge, decoded
from pipeline.extract.found import BAD_CODING, NO_PAGE, NO_PAGE_URL, NO_SUCCESS, TOO_LARGE
from pipeline.extract.opt_outs import TDM
from pipeline.extract.options import Extract
from pipeline.extract.pages import Answer, page_links
from pipeline.extract.wat import page_url

# Pages of so many bytes are read together; so many links are a batch.
BLOCK, MOST_LINKS = 4 << 20, 1 << 15
TYPES = ("text/html", "application/xhtml+xml")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")


class Answers:
    """The images of the answers in a WARC, which are held and then read together.

    ``at`` is told which record is being parsed, and None when none is.
    """

    def __init__(self, options: Extract, at: Callable[[int | None], None]):
        self.options, self.at = options, at
        self.held: list[Answer] = []
        self.size, self.rest = 0, None

    def add(self, number: int, record: WarcRecord, content: bytes | None, pages: Counter[str]) -> None:
        """Takes a record in; counts what became of its page where that is known already."""
        if record.record_type != WarcRecordType.response:
            return
        if content is None:
            pages[TOO_LARGE] += 1
            return
        url = page_url(record.headers.get("WARC-Target-URI"))
        read = read_answer(number, content, url, self.options, self.at)
        if read.__class__ is str:
            pages[read] += 1
        else:
            self.held.append(read)
            self.size += len(read.text)

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a batch."""
        return self.size >= BLOCK

    @property
    def left(self) -> bool:
        """Whether there are images that were in no batch yet."""
        return self.rest is not None

    def batch(self, pages: Counter[str]) -> pa.RecordBatch:
        """Images (``LINKS``) of the pages that are held, which are gone then; counts what became of them."""
        links = self.rest
        if links is None:
            links = page_links(self.held, self.options, self.at, pages)
            self.held, self.size = [], 0
        self.rest = links.slice(MOST_LINKS) if links.num_rows > MOST_LINKS else None
        return links.slice(0, MOST_LINKS)


def read_answer(
    number: int, content: bytes, url: str | None, options: Extract, at: Callable[[int | None], None]
) -> Answer | str:
    """The page of an answer, or what became of it. ``number``: of the record; ``url``: of the page."""
    status = _STATUS.match(content)
    if status is None:
        return NO_PAGE
    if not status[1].startswith(b"2"):
        return NO_SUCCESS
    headers, body = message(content)
    types = headers.get("content-type", ("",))
    kind = types[0].split(";")[0].strip().lower()
    if kind not in TYPES and (kind or b"<" not in body[:1024]):
        return NO_PAGE
    if url is None:
        return NO_PAGE_URL
    codings = [",".join(headers.get(name, ())) for name in ("transfer-encoding", "content-encoding")]
    try:
        if any(codings):
            at(number)
        body = decoded(body, *codings, options.most_page_bytes)
    except TooLarge:
        return TOO_LARGE
    except BadCoding:
        return BAD_CODING
    finally:
        if any(codings):
            at(None)
    language = next(iter(headers.get("content-language", ())), None)
    return Answer(
        number, url, utf8_page(body, types[0]), headers.get("x-robots-tag", []), headers.get(TDM, []), language
    )
