"""Crawl files made by tests: WARC records, plain or a gzip member each."""

import gzip
import io
import json

from pipeline.extract.file import extract_file
from pipeline.extract.found import Found
from pipeline.extract.options import Extract
from pipeline.extract.repeats import Repeats

URL = "https://www.example.org/blog/post/page.html"


def record(kind: str, content: bytes, url: str | None = URL, length: int | None = None, **headers: str) -> bytes:
    """One record; ``length`` where the header is to say another than that of the content."""
    lines = [f"WARC-Type: {kind}", "WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>"]
    lines += [f"WARC-Target-URI: {url}"] * (url is not None)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(content) if length is None else length}")
    return "\r\n".join(["WARC/1.0", *lines, "", ""]).encode() + content + b"\r\n\r\n"


def answer(body: bytes | str, head: str = "", kind: str = "text/html; charset=utf-8", status: str = "200 OK") -> bytes:
    """An HTTP answer."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), *head.splitlines()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def page(body: bytes | str, url: str | None = URL, **of_answer: str) -> bytes:
    """The record of a page."""
    return record("response", answer(body, **of_answer), url)


def metadata(links, head=None, headers=None, url: str | None = URL, record_url: str | None = URL) -> bytes:
    """The record of a page in a WAT."""
    page = {"Head": head or {}, "Links": links}
    answer = {"Headers": headers or {}, "HTML-Metadata": page}
    header = {"WARC-Type": "response"} | ({"WARC-Target-URI": url} if url is not None else {})
    envelope = {"WARC-Header-Metadata": header, "Payload-Metadata": {"HTTP-Response-Metadata": answer}}
    return record("metadata", json.dumps({"Envelope": envelope}).encode(), record_url)


def image(url, alt=None, **more):
    """A link of a WAT."""
    return {"path": "IMG@/src", "url": url} | ({} if alt is None else {"alt": alt}) | more


def packed(*records: bytes) -> bytes:
    """A gzip member for each record."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)


def extracted(content: bytes, kind: str = "warc", **options) -> tuple[list[dict], Found]:
    """The pairs of a file and what was found; checks that they add up."""
    found, repeats, pairs = Found(), Repeats(), []
    for rows, counted, _ in extract_file(io.BytesIO(content), kind, Extract(**options)):
        pairs += repeats.fresh(rows, counted).to_pylist()
        found.add(counted)
    assert found.pairs == len(pairs)
    assert found.links == found.pairs + found.dropped.total()
    return pairs, found


def sources(content: bytes, kind: str = "warc", **options) -> list[tuple[str, str]]:
    """URL and text of the pairs."""
    return [(pair["url"], pair["text"]) for pair in extracted(content, kind, **options)[0]]
