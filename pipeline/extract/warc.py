"""WARC: the pages themselves, an HTTP answer each."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable

import pyarrow as pa
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline.extract.charset import page_text
from pipeline.extract.coding import BadCoding, TooLarge, decoded
from pipeline.extract.found import (
    BAD_CODING,
    NO_IMAGES,
    NO_PAGE,
    NO_PAGE_URL,
    NO_SUCCESS,
    OPTED_OUT,
    READ,
    TOO_LARGE,
)
from pipeline.extract.html import Page, add_images
from pipeline.extract.links import Links
from pipeline.extract.opt_outs import TDM
from pipeline.extract.options import Extract
from pipeline.extract.wat import page_url

# So many links, or bytes of answers, are a batch.
MOST_LINKS, MOST_BYTES = 1 << 15, 64 << 20
TYPES = ("text/html", "application/xhtml+xml")
_HEAD_END, _STATUS = re.compile(rb"\r?\n\r?\n"), re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
# `image` is another name of `img` to a parser.
_IMAGE, _OPEN_GRAPH = re.compile(rb"<ima?ge?[\s/>]", re.IGNORECASE), re.compile(rb"og:image", re.IGNORECASE)


class Answers:
    """The images of the answers in a WARC, each read when it is added.

    ``at`` is told which record is being parsed, and None when none is.
    """

    def __init__(self, options: Extract, at: Callable[[int | None], None]):
        self.options, self.at, self.links, self.size = options, at, Links(), 0

    def add(self, number: int, record: WarcRecord, content: bytes | None, pages: Counter[str]) -> None:
        """Reads a record; counts what became of its page."""
        if record.record_type != WarcRecordType.response:
            return
        if content is None:
            pages[TOO_LARGE] += 1
            return
        self.at(number)
        pages[read_response(content, page_url(record.headers.get("WARC-Target-URI")), self.links, self.options)] += 1
        self.at(None)
        self.size += len(content)

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a batch."""
        return len(self.links) >= MOST_LINKS or self.size >= MOST_BYTES

    @property
    def left(self) -> bool:
        """Whether there are images that were in no batch yet."""
        return len(self.links) > 0

    def batch(self, pages: Counter[str]) -> pa.RecordBatch:
        """Images (``LINKS``), which are gone from here then."""
        self.size = 0
        return self.links.batch(MOST_LINKS)


def read_response(content: bytes, url: str | None, links: Links, options: Extract) -> str:
    """Adds the images of an answer to the links; returns what became of its page. ``url``: of the page."""
    status = _STATUS.match(content)
    if status is None:
        return NO_PAGE
    if not status[1].startswith(b"2"):
        return NO_SUCCESS
    headers, body = message(content)
    kind = next(iter(headers["content-type"]), "").split(";")[0].strip().lower()
    if kind not in TYPES and (kind or b"<" not in body[:1024]):
        return NO_PAGE
    if url is None:
        return NO_PAGE_URL
    codings = (",".join(headers[name]) for name in ("transfer-encoding", "content-encoding"))
    try:
        body = decoded(body, *codings, options.most_page_bytes)
    except TooLarge:
        return TOO_LARGE
    except BadCoding:
        return BAD_CODING
    if not (b"\0" in body[:64] or _IMAGE.search(body) or ("og" in options.text_sources and _OPEN_GRAPH.search(body))):
        return NO_IMAGES
    page = Page(page_text(body, next(iter(headers["content-type"]), None)), url)
    out = page.opted_out(headers["x-robots-tag"], headers[TDM]) if options.opt_outs else None
    language = page.language or next(iter(headers["content-language"]), None)
    before = len(links)
    add_images(page, links, language, out, options)
    return OPTED_OUT if out else READ if len(links) > before else NO_IMAGES


def message(content: bytes) -> tuple[dict[str, list[str]], bytes]:
    """The headers of an answer, by their names in lower case, and its body."""
    end = _HEAD_END.search(content)
    head, body = (content[: end.start()], content[end.end() :]) if end else (content, b"")
    headers: dict[str, list[str]] = defaultdict(list)
    name = None
    for line in head.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t") and name:
            headers[name][-1] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower() if colon else None
        if name:
            headers[name].append(value.strip())
    return headers, body
