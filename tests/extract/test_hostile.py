"""Pages made to cost time or memory: what is long is none, and nothing takes the square of a page."""

import time

import pytest

from pipeline.extract.placeholders import PLACEHOLDER
from pipeline.extract.scanned import scanned
from pipeline.extract.srcset import candidates
from tests.extract.files import extracted, image, metadata, page, record

LONG = "x" * 1_000_000


@pytest.mark.parametrize("head", [f"<html lang={LONG}>", f"<base href=/{LONG}/>", f"<html><base href='{LONG}:'>"])
def test_long_strings_of_a_page_are_not_held_for_each_image(head):
    pairs, _ = extracted(page(head + "".join(f"<img src={n}.jpg alt='image {n}'>" for n in range(3000))))
    assert len(pairs) == 3000
    assert {(pair["url"].rpartition("/")[0], pair["page_language"]) for pair in pairs} == {
        ("https://www.example.org/blog/post", None)
    }


def test_long_strings_of_metadata_are_not_held_for_each_image():
    head = {"Base": f"/{LONG}/", "Metas": [{"name": "HTML@/lang", "content": LONG}]}
    pairs, _ = extracted(metadata([image(f"{n}.jpg", f"image {n}") for n in range(3000)], head), "wat")
    assert {(pair["url"].rpartition("/")[0], pair["page_language"]) for pair in pairs} == {
        ("https://www.example.org/blog/post", None)
    }
    url = f"https://a.example.org/{LONG}"
    assert extracted(metadata([image("a.jpg", "x")], url=url, record_url=None), "wat")[1].pages == {"no_page_url": 1}


def test_a_page_of_more_images_than_a_part_has():
    pairs, found = extracted(page("".join(f"<img src={n}.jpg alt='image {n}'>" for n in range(70_000))))
    assert [pair["text"] for pair in pairs] == [f"image {n}" for n in range(70_000)]
    assert found.pages == {"read": 1}


@pytest.mark.parametrize(
    "html",
    [
        "<figure>" + "<img src=a.jpg alt=x>" * 20_000 + "<figcaption>the caption</figcaption></figure>",
        "<picture>" + "<source srcset=b.jpg>" * 3000 + "<img alt=x>" * 3000 + "</picture>",
        f"<img src='{' ' * 200_000}x' alt=x>",
        f"<img width='{' ' * 200_000}' src=a.jpg alt=x>",
    ],
)
def test_nothing_takes_the_square_of_a_page(html):
    started = time.process_time()
    extracted(page(html), text_sources=["alt", "figcaption"])
    assert time.process_time() - started < 8


@pytest.mark.parametrize(
    "part",
    ["<", "<a", "</", "<!--", "<!--->", "<!", "<a x='", "<a x=\"", "<a ", "b=c ", "&amp;", "<svg><g>", "<svg></g>", "<script><!--<script>", "<script>", "<title>",
     "<noscript>", "<noscript><a></a>", "<picture><source>", "<template>", "<table><td>", "<img alt=x>", "<img srcset=x src=x/1.2.", "<select><option>", "<![CDATA[", "-->", "<meta name=robots>",
     "<p><noscript><p>", "<html lang=x>", "<base href=x>", "\n", "=", "/"],
)  # fmt: skip
def test_a_scan_takes_no_square_of_a_page(part):
    scanned([b"<img>"], True)  # compiles
    for start in (b"<img src=a ", b"<img src=a>", b"<body><p>"):
        started = time.process_time()
        scanned([start + part.encode() * (4_000_000 // len(part))], True)
        assert time.process_time() - started < 2


def test_numbers_beyond_all_measure():
    assert candidates(f"a.jpg {'9' * 5000}w, b.jpg \u0663x, c.jpg 2x") == [
        ("a.jpg", float("inf"), 1.0),
        ("c.jpg", None, 2.0),
    ]
    assert PLACEHOLDER.match(" " * 200_000) is not None


def test_deep_json_is_bad_json():
    deep = b'{"Envelope": "IMG@/src", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert extracted(record("metadata", deep), "wat")[1].pages.keys() <= {"bad_json", "no_page_url", "read"}
