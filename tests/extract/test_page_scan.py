"""The scan of a page gives what the parser gives, or leaves the page to it."""

import pytest

from pipeline.extract.construction import UNSURE
from pipeline.extract.html import ParsedPage
from pipeline.extract.page import Page
from pipeline.extract.scanned import ScannedPage, scanned
from pipeline.extract.tags import IMG, SOURCE, WANTED
from tests.extract.page_cases import made_page

URL = "https://www.example.org/blog/post/page.html"
METAS = [("robots", "name"), ("tdm-reservation", "name"), ("content-language", "http-equiv"), ("og:image", "property"), ("og:image", "name"),
         ("og:title", "property"), ("og:title", "name"), ("twitter:image:alt", "name"), ("twitter:image:alt", "property")]  # fmt: skip


def told(page: Page, sources: bool) -> dict:
    """All that is read of a page; ``sources``: those of pictures, too."""
    images = [
        ({name: attributes[name] for name in WANTED[IMG] if name in attributes and (name != "src" or attributes[name] is not None)}, page.is_hidden(image),
         [{name: source[name] for name in WANTED[SOURCE] if name in source} for source in page.sources(image) if sources])
        for image, attributes in page.images
    ]  # fmt: skip
    return {
        "images": images, "base": page.base(URL), "language": page.language,
        "metas": [page.contents(*meta) for meta in METAS],
    }  # fmt: skip


def by_scan(pages: list[bytes]) -> list[tuple[Page, bool] | None]:
    """What the scan finds of pages, and whether sources are asked for there; None for those that it leaves."""
    found = scanned([b"" if b"\0" in page else page for page in pages], True)
    result, image, other = [], 0, 0
    for page, (images, others, odd) in zip(pages, found.counts.tolist(), strict=True):
        if images == UNSURE or b"\0" in page:
            result.append(None)
            continue
        rows = found.images[image : image + images].tolist(), found.others[other : other + others]
        image, other = image + images, other + others
        result.append((ScannedPage(found.joined, *rows), odd > 0))
    return result


def differing(pages: list[bytes]) -> tuple[list[tuple[bytes, dict, dict]], int]:
    """The first page that scan and parser read differently, with what both say, or the number of those scanned."""
    found = by_scan(pages)
    for page, scan in zip(pages, found, strict=True):
        if scan is not None:
            one, other = told(*scan), told(ParsedPage(page.decode()), scan[1])
            if one != other:
                return [(page, one, other)], 0
    return [], sum(scan is not None for scan in found)


def test_made_pages():
    wrong, sure = differing([made_page(number) for number in range(10_000)])
    assert not wrong
    assert sure > 5000


@pytest.mark.slow
def test_a_quarter_of_a_million_made_pages():
    for start in range(10_000, 260_000, 10_000):
        wrong, _ = differing([made_page(number) for number in range(start, start + 10_000)])
        assert not wrong


ICON = "<svg viewBox='0 0 1 1'><title>x</title><g><path d=M0/></g></svg>"


@pytest.mark.parametrize(
    ("html", "is_sure"),
    [
        (f"<!doctype html><html lang=en><head><meta charset=utf-8></head><body>{ICON}<img src=a alt=x>", True),
        ("<head><noscript><img src=pixel></noscript></head><img data-src=a><noscript><img src=a></noscript>", True),
        ("<head>&#32;<noscript><img src=a></noscript>", False),
        ("<head>x<noscript><img src=a></noscript>", True),
        ("<p><button></p></button><noscript><div><img src=a></div></noscript>", False),
        ("<p>x<noscript><p><img src=a></p></noscript>", False),
        ("<p>x</p><noscript><p><img src=a></p></noscript>", True),
        ("<body><noscript><div><img src=a></noscript><img src=b>", False),
        ("<body><noscript><p><p><img src=a></p></p></noscript>", False),
        ("<table><thead><tr><td></tbody><img src=a>", False),
        ("<table><tr><td><img src=a></td></tr><tr><th><img src=b></table><img src=c>", True),
        ("<table><caption></td><img src=a><tr><td></th><img src=b></table>", True),
        ("<table><tr><img src=a><td><img src=b></table>", False),
        ("<table><tr><td><table><td><img src=a></table><img src=b></table>", True),
        ("<table><tr><td></table><img src=a>", True),
        ("<template><img src=a><template></template><tr><td></template><img src=b>", True),
        ("<template><svg></template><img src=a></template><img src=b>", False),
        ("<template><col><script></template><img src=a></script><img src=b>", False),
        ("<template><colgroup></colgroup><style></template></style></template><img src=b>", True),
        ("<svg><desc><img src=a></desc></svg>", False),
        ("<svg><image src=a /><![CDATA[<img src=b>]]></svg><img src=c>", True),
        ("<svg><p><img src=a></svg>", False),
        ("<div><svg><g></div><img src=a>", False),
        ("<svg><g></svg><img src=a>", True),
        ("<select><option>x<img src=a></select>", False),
        ("<select><optgroup><option>x</select><img src=a>", True),
        ("<plaintext><img src=a>", False),
        ("<script><!--><script></script><img src=a>--></script>", True),
        ("<script><!-- <script></script><img src=a>--></script><img src=b>", True),
        ("<!---><img src=a>--><!--x--!><img src=b><!----!><img src=c>", True),
        ("<picture><source srcset=a><img><noscript><img src=b></noscript></picture>", True),
        ("<picture>" + "<source srcset=a>" * 300 + "<img></picture>", False),
        ("<html><html lang><html lang=x><base><base href><base href=/a/><base href=/b/><img src=a>", True),
        ("<img src=a alt='x\r\ny\rz&ampx&amp=&amp;&copy' width=&#49; alt=no>", True),
    ],
)  # fmt: skip
def test_what_the_scan_is_sure_of(html, is_sure):
    assert differing([html.encode()]) == ([], is_sure)
