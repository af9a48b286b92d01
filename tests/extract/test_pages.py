"""Pages that are read together: by the scan alone, by it and the rules for lazy images, or by the parser."""

import io
import random
import re
from collections import Counter

import numpy as np
import pytest

from pipeline.extract import pages as of_pages
from pipeline.extract import warc
from pipeline.extract.answer import _of_lines, message
from pipeline.extract.construction import UNSURE
from pipeline.extract.options import Extract
from pipeline.extract.records import Records
from pipeline.extract.warc import Answers
from tests.extract.files import page
from tests.extract.page_cases import made_page

# What stands before the images of a page, and their attributes.
PLAIN, LAZY, PARSED = ("", "src"), ("", "data-src"), ("\0", "src")


def answers(records: list[bytes], **options) -> tuple[Answers, Counter]:
    """Those of records, held."""
    found, counted = Answers(Extract(**options), lambda number: None), Counter()
    for number, record, content in Records(io.BytesIO(b"".join(records)), 1 << 24):
        found.add(number, record, content, counted)
    return found, counted


def test_rows_are_given_in_parts_and_stay_those_of_their_pages(monkeypatch):
    monkeypatch.setattr(warc, "MOST_LINKS", 7)
    wanted, records = [], []
    for number in range(60):
        url, (before, name) = f"https://{number}.example.org/", (PLAIN, LAZY, PARSED)[number * 7 % 11 % 3]
        images = [f"{at}.jpg" for at in range(number % 5)]
        records.append(
            page(before + "".join(f"<img {name}={one} alt=x>" for one in images) + f"<base href=/{number}/>", url)
        )
        wanted += [(url, f"{url}{number}/", one) for one in images]
    found, counted = answers(records)
    parts = [found.batch(counted)]
    while found.left:
        parts.append(found.batch(counted))
    assert {part.num_rows for part in parts[:-1]} == {7}
    rows = [row for part in parts for row in part.to_pylist()]
    assert [(row["page_url"], row["base"], row["src"]) for row in rows] == wanted
    assert counted == {"read": 48, "without_images": 12}


@pytest.mark.parametrize(
    ("html", "options", "is_parsed"),
    [
        ("<img src=a.jpg alt=x>", {}, False),
        ("<figure><img src=a.jpg alt=x><figcaption>y</figcaption></figure>", {}, False),
        ("<figure><img src=a.jpg alt=x><figcaption>y</figcaption></figure>", {"text_sources": ["figcaption"]}, True),
        ("<meta property=og:image content=a.jpg>", {"text_sources": ["og"]}, False),
        ("<img src=a.jpg alt=x>\0", {}, True),
        ("<table><img src=a.jpg></table>", {}, True),
        ("<table></table><img src=a.jpg>", {}, False),
        ("<p>no image\0", {}, False),
    ],
)  # fmt: skip
def test_what_is_left_to_the_parser(html, options, is_parsed, monkeypatch):
    parsed = []
    monkeypatch.setattr(of_pages, "ParsedPage", lambda text, old=of_pages.ParsedPage: parsed.append(text) or old(text))
    found, counted = answers([page(html)], **options)
    found.batch(counted)
    assert bool(parsed) == is_parsed


def test_rows_are_the_same_where_the_parser_reads_all(monkeypatch):
    heads = ["", "", "X-Robots-Tag: noai", "Content-Language: de", "TDM-Reservation: 1"]
    records = [page(made_page(n), f"https://a.example.org/{n}/", head=heads[n % len(heads)]) for n in range(1500)]
    options = [{}, {"text_sources": ["title", "figcaption", "og"]}, {"opt_outs": False, "text_sources": ["alt"]}]
    scanned = [read(records, **some) for some in options]
    monkeypatch.setattr(of_pages, "scanned", lambda texts, graph, old=of_pages.scanned: unsure(old(texts, graph)))
    assert scanned == [read(records, **some) for some in options]


def unsure(found):
    """A scan that is sure of nothing."""
    nothing = np.full_like(found.counts, UNSURE)
    nothing[:, 1:] = 0
    return found._replace(images=found.images[:0], others=[], counts=nothing)


def read(records, **options) -> tuple[list[dict], Counter]:
    """All rows, and what became of the pages."""
    found, counted = answers(records, **options)
    rows = found.batch(counted).to_pylist()
    assert rows
    while found.left:
        rows += found.batch(counted).to_pylist()
    return rows, counted


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_headers_by_one_pattern_are_those_of_lines(end):
    rng = random.Random(end)
    parts = ["Content-Type: text/html", "content-TYPE :x ", "X-Robots-Tag: noai", " folded", "\tfolded: x", "TDM-Reservation:1", "no colon", ": no name",
             "Content-Type x: y", " Content-Type: z", "Content-Language: \u00e9", "x-robots-tag:\x0bnone", "Content-Encoding: gzip\x0cX-Robots-Tag: a", "Set-Cookie: a=b", "",
             "Transfer-Encoding: chunked\x85x: y", "Content-Type:"]  # fmt: skip
    for _ in range(2000):
        lines = ["HTTP/1.1 200 OK", *rng.choices(parts, k=rng.randrange(6))]
        content = "".join(
            line + rng.choice((end, end, end, "\r\n", "\n", "\r")) for line in [*lines, "", "body\n\nmore"]
        ).encode()
        found = re.search(rb"\r?\n\r?\n", content)
        head, body = (content[: found.start()], content[found.end() :]) if found else (content, b"")
        assert message(content) == (_of_lines(head), body)
