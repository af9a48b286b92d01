"""WAT: the metadata of pages as Common Crawl publishes them, a JSON record each.

A WAT has the links ``IMG@/src`` with their alt and title; it has no srcset, lazy-loading attributes, no figcaption.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from fastwarc.warc import WarcRecord, WarcRecordType

from pipeline.extract.found import BAD_JSON, NO_IMAGES, NO_PAGE, NO_PAGE_URL, OPTED_OUT, READ, TOO_LARGE
from pipeline.extract.links import MOST_LANGUAGE, MOST_URL, NOTHING, OfPage
from pipeline.extract.opt_outs import ROBOTS, TDM, opted_out
from pipeline.extract.options import Extract
from pipeline.extract.scan import FIELD, IMAGE, KEYS, UNSURE, scanned, text_fields
from pipeline.extract.spans import image_links, of_json
from pipeline.extract.urls import base_url

LANGUAGE, X_ROBOTS_TAG = "html@/lang", "x-robots-tag"
# Stands for the links in what the parser gets.
MARK, MARKED = b"[20211203]", [20211203]
IN_BYTES = IMAGE.encode()
_PAGE_URL = re.compile(r"https?://[^\x00-\x1f\x7f]+", re.IGNORECASE)
# Records of so many bytes are scanned together.
BLOCK = 4 << 20


class Metadata:
    """The images of the metadata records of a WAT, which are held and then read together.

    ``at`` is told which record is being parsed, and None when none is.
    """

    left = False  # A batch has all.

    def __init__(self, options: Extract, at: Callable[[int | None], None]):
        self.options, self.at = options, at
        self.texts = text_fields(options.text_sources)
        self._clear()

    def _clear(self) -> None:
        # Lists of what is no container: many small tuples keep the garbage collector busy.
        self.numbers: list[int] = []
        self.records: list[WarcRecord] = []
        self.contents: list[bytes] = []
        self.size = 0

    def add(self, number: int, record: WarcRecord, content: bytes | None, pages: Counter[str]) -> None:
        """Takes a record in; counts what became of its page where that is known already."""
        if record.record_type != WarcRecordType.metadata:
            if record.record_type == WarcRecordType.response:
                pages[NO_PAGE] += 1
        elif content is None:
            pages[TOO_LARGE] += 1
        elif IN_BYTES not in content:
            pages[NO_IMAGES if b'"HTML-Metadata"' in content else NO_PAGE] += 1
        else:
            self.numbers.append(number)
            self.records.append(record)
            self.contents.append(content)
            self.size += len(content)

    @property
    def is_full(self) -> bool:
        """Whether there is enough for a batch."""
        return self.size >= BLOCK

    def batch(self, pages: Counter[str]) -> pa.RecordBatch:
        """The images (``LINKS``) of the records that are held, which are gone then; counts what became of the pages."""
        data, places, spans, found = scanned(self.contents)
        of_pages, dropped, parsed = [], [], {}
        held = zip(self.numbers, self.records, self.contents, *found.T.tolist(), strict=True)
        for place, (number, record, content, *where) in enumerate(held):
            self.at(number)
            outcome, of_page, links = _page(record, content, where, self.options.opt_outs)
            pages[outcome] += 1
            of_pages.append(of_page)
            if links is not None:
                parsed[place] = links
            if links is not None or of_page is NOTHING:
                dropped.append(place)
        self.at(None)
        self._clear()
        if dropped:
            kept = ~np.isin(places, dropped)
            places, spans = places[kept], spans[kept]
        if parsed:
            data, places, spans = _with_parsed(data, places, spans, parsed)
        return image_links(data, places, spans, of_pages, self.texts, of_json)[0]


def _with_parsed(data, places, spans, parsed: dict[int, bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with images that the parser found, as JSON by the places of their records."""
    more, of_more, more_spans, _ = scanned(list(parsed.values()))
    starts = more_spans.reshape(len(more_spans), len(KEYS), FIELD)[:, :, :2]
    starts[starts >= 0] += len(data)
    places = np.concatenate([places, np.array(list(parsed))[of_more]])
    order = np.argsort(places, kind="stable")
    data = np.concatenate([data, more])
    data.flags.writeable = False
    return data, places[order], np.concatenate([spans, more_spans])[order]


def _page(
    record: WarcRecord, content: bytes, where: tuple[int, int, int], opt_outs: bool
) -> tuple[str, OfPage, bytes | None]:
    """What became of the page of a record, what its images share, and they as JSON where the scan was not sure.

    ``where``: what the scan found.
    """
    count, first, last = where
    links = None
    if count != UNSURE:
        try:
            envelope = orjson.loads(content[:first] + MARK + content[last + 1 :])["Envelope"]
            answer = envelope["Payload-Metadata"]["HTTP-Response-Metadata"]
            page = answer["HTML-Metadata"]
            if page["Links"] != MARKED:
                count = UNSURE
        except (ValueError, LookupError, TypeError):
            count = UNSURE
    if count == UNSURE:
        try:
            envelope = _mapping(_loaded(content), "Envelope")
        except (ValueError, RecursionError):
            return BAD_JSON, NOTHING, None
        answer = _mapping(envelope, "Payload-Metadata", "HTTP-Response-Metadata")
        page = _mapping(answer, "HTML-Metadata")
        links = _images(page)
    url = page_url(_mapping(envelope, "WARC-Header-Metadata").get("WARC-Target-URI"))
    if url is None and (url := page_url(record.headers.get("WARC-Target-URI"))) is None:
        return NO_PAGE_URL, NOTHING, None
    head = _mapping(page, "Head")
    metas = [meta for meta in _list(head.get("Metas")) if isinstance(meta, dict)]
    out = _opted_out(_mapping(answer, "Headers"), metas) if opt_outs else None
    base = base_url(url, head["Base"]) if isinstance(head.get("Base"), str) else url
    language = next((v for v in _contents(metas, LANGUAGE) if v and len(v) <= MOST_LANGUAGE), None)
    return OPTED_OUT if out else READ, (url, base, language, out), links


def _images(page: dict[str, Any]) -> bytes:
    """The image links of a page that was parsed, as JSON that the scan is sure of."""
    links = [one for one in _list(page.get("Links")) if one.__class__ is dict and one.get("path") == IMAGE]
    strings = [{key: link[key] for key in KEYS if link.get(key).__class__ is str} for link in links]
    return orjson.dumps({"Links": strings})


def page_url(url: Any) -> str | None:
    """The URL of a page: HTTP or HTTPS, with no control characters; else None."""
    if not isinstance(url, str):
        return None
    url = url.strip().removeprefix("<").removesuffix(">")  # as WARC 1.0 wrote it
    return url if len(url) <= MOST_URL and _PAGE_URL.fullmatch(url) else None


def _loaded(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # Half of a surrogate pair, or bytes that are not UTF-8: Java writes both, and one bad text is no bad page.
        value = json.loads(content.decode("utf-8", "replace"), strict=False)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _mapping(value: Any, *names: str) -> dict[str, Any]:
    """What is below some names; an empty one where there is nothing, or something else."""
    try:
        for name in names:
            value = value[name]
    except (KeyError, IndexError, TypeError):
        return {}
    return value if value.__class__ is dict else {}


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    """The strings of a value that is one, or a list of them."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _contents(metas: list[dict], name: str) -> list[str]:
    """The contents of the meta elements of a name."""
    if not metas:
        return []
    return [
        content
        for meta in metas
        if isinstance(found := meta.get("name"), str) and found.strip().lower() == name
        for content in _strings(meta.get("content"))
    ]


def _opted_out(headers: dict[str, Any], metas: list[dict]) -> str | None:
    """Why a page is not to be used, by its headers and meta elements."""
    robots, reservations = _contents(metas, ROBOTS), _contents(metas, TDM)
    for name, value in headers.items():
        if len(name) == len(X_ROBOTS_TAG) and name.lower() == X_ROBOTS_TAG:
            robots += _strings(value)
        elif len(name) == len(TDM) and name.lower() == TDM:
            reservations += _strings(value)
    return opted_out(robots, reservations) if robots or reservations else None
