"""WAT: the metadata of pages as Common Crawl publishes them, a JSON record each.

A WAT has the links ``IMG@/src`` with their alt and title; it has no srcset, lazy-loading attributes, no figcaption.
"""

import json
import re
from typing import Any

import orjson

from pipeline.extract.links import MOST_LANGUAGE, MOST_URL, Links, dimension
from pipeline.extract.opt_outs import ROBOTS, TDM, opted_out
from pipeline.extract.options import Extract
from pipeline.extract.scan import MARKED
from pipeline.extract.urls import base_url

READ, BAD_JSON, NO_PAGE, NO_PAGE_URL, OPTED_OUT = "read", "bad_json", "not_html", "no_page_url", "opted_out"
NO_IMAGES = "without_images"
IMAGE = "IMG@/src"
LANGUAGE, X_ROBOTS_TAG = "HTML@/lang", "x-robots-tag"
ANSWER = ("Payload-Metadata", "HTTP-Response-Metadata")
PAGE = (*ANSWER, "HTML-Metadata")
MARK = IMAGE.encode()
_PAGE_URL = re.compile(r"https?://[^\x00-\x1f\x7f]+", re.IGNORECASE)
# Attributes of a link in a WAT that are texts of the image.
TEXTS, SIDES = ("alt", "title", "data-image-title"), ("width", "height")


def read_metadata(content: bytes, record_url: str | None, links: Links, options: Extract) -> str:
    """Adds the images of a metadata record to the links; returns what became of its page.

    ``record_url``: the URL of the page by the record's own header, for where the JSON has none.
    """
    if MARK not in content:
        return NO_IMAGES if b'"HTML-Metadata"' in content else NO_PAGE
    try:
        envelope, images = _parsed(content, links)
    except (ValueError, RecursionError):
        return BAD_JSON
    answer = _mapping(envelope, *ANSWER)
    page = _mapping(answer, "HTML-Metadata")
    head = _mapping(page, "Head")
    url = page_url(_mapping(envelope, "WARC-Header-Metadata").get("WARC-Target-URI")) or page_url(record_url)
    if url is None:
        return NO_PAGE_URL
    metas = [meta for meta in _list(head.get("Metas")) if isinstance(meta, dict)]
    headers = _mapping(answer, "Headers")
    out = _opted_out(headers, metas) if options.opt_outs and (headers or metas) else None
    named = head.get("Base")
    base = base_url(url, named) if isinstance(named, str) else url
    language = next((v for v in _contents(metas, LANGUAGE.lower()) if v and len(v) <= MOST_LANGUAGE), None)
    of_page = (url, base, language, out)
    if images is not None:
        links.scanned(content, images, of_page)
    else:
        _add_links(page, links, [source for source in TEXTS if source in options.text_sources], of_page)
    return OPTED_OUT if out else READ


def _add_links(page: dict[str, Any], links: Links, sources: list[str], of_page: tuple) -> None:
    """Adds the images of a page that was parsed."""
    url, base, language, out = of_page
    append = links.append
    for link in [one for one in _list(page.get("Links")) if one.__class__ is dict and one.get("path") == IMAGE]:
        source = link.get("url")
        if source.__class__ is not str:
            source = None
        width, height = (dimension(link[name]) if link.get(name).__class__ is str else None for name in SIDES)
        texts = [(text, name) for name in sources if (text := link.get(name)).__class__ is str]
        for text, name in texts or [(None, None)]:
            append((source, text, name, url, base, language, width, height, out))


def page_url(url: Any) -> str | None:
    """The URL of a page: HTTP or HTTPS, with no control characters; else None."""
    if not isinstance(url, str):
        return None
    url = url.strip().removeprefix("<").removesuffix(">")  # as WARC 1.0 wrote it
    return url if len(url) <= MOST_URL and _PAGE_URL.fullmatch(url) else None


def _parsed(content: bytes, links: Links) -> tuple[dict[str, Any], int | None]:
    """The envelope of a record, and how many images were found in its links; None where the links are in it."""
    if (cut := links.scanner.cut(content)) is not None:
        rest, images = cut
        try:
            envelope = _mapping(orjson.loads(rest), "Envelope")
        except orjson.JSONDecodeError:
            envelope = {}
        if _mapping(envelope, *PAGE).get("Links") == MARKED:
            return envelope, images
    return _mapping(_loaded(content), "Envelope"), None


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
