"""Seeded damage to pages, metadata, gzip and WARC framing: nothing hangs or raises, and rows add up."""

import gzip
import json
import random

import pytest

from tests.extract.files import answer, extracted, image, metadata, packed, page, record

HTML = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><base href=/x/><meta name=robots content=all></head><body>"
    "<img src='a.jpg' alt='a cat' width=10 height=20><picture><source srcset='b.webp 1x, c.webp 2x'><img data-src=d.jpg>"
    "</picture><figure><img srcset='e.jpg 100w, f.jpg 200w' title=x><figcaption>y</figcaption></figure>"
    "<noscript><img src=g.jpg alt='&amp;'></noscript><!-- c --><svg><image href=h></svg></body></html>"
)
LINKS = [image("/a.jpg", "a cat"), image("http://b.example.org/b c.jpg", "ü"), {"path": "A@/href", "url": "x"}]
HEAD = {"Base": "/y/", "Metas": [{"name": "HTML@/lang", "content": "de"}, {"name": "robots", "content": "all"}]}
SIGNS = [b"<", b">", b"'", b'"', b"&", b"\0", b"\xff", b"=", b"/", b",", b"{", b"}", b"[", b"\\u", b"\\", b":", b"\r\n", b"\n",
         b"img", b"<img ", b"src=", b"srcset=", b"data:", b"//", b"null", b"1e999", b"Content-Length: 9\r\n", b"WARC/1.0\r\n",
         b"<noscript>", b"<template>", b"<base href=http://[>", b"\x1f\x8b\x08\x00", b"\xe2\x80\xa8", b"chunked"]  # fmt: skip


def mutated(content: bytes, rng: random.Random) -> bytes:
    """With some signs put in, taken out, or put elsewhere."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(content) + 1)
        match rng.randrange(5):
            case 0:
                content[at:at] = rng.choice(SIGNS)
            case 1:
                del content[at : at + rng.randint(1, 30)]
            case 2:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                content[at:at] = content[: rng.randint(0, 200)]
            case 4:
                del content[at:]
    return bytes(content)


def case(number: int) -> tuple[bytes, str]:
    """A damaged file."""
    rng = random.Random(number)
    pages, links = page(HTML), metadata(LINKS, HEAD)
    match number % 7:
        case 0:
            return packed(page(mutated(HTML.encode(), rng)), pages), "warc"
        case 1:
            return packed(record("metadata", mutated(links.split(b"\r\n\r\n", 1)[1], rng)), links), "wat"
        case 2:
            return packed(pages, mutated(pages, rng), pages), "warc"
        case 3:
            return mutated(packed(pages, pages), rng), "warc"
        case 4:
            return mutated(pages + pages + pages, rng), "warc"
        case 5:
            body = gzip.compress(HTML.encode(), mtime=0)
            head = rng.choice(["Content-Encoding: gzip", "Content-Encoding: br", "Transfer-Encoding: chunked"])
            return packed(record("response", mutated(answer(body, head), rng)), pages), "warc"
        case _:
            found = json.loads(links.split(b"\r\n\r\n", 1)[1])
            return packed(record("metadata", json.dumps(odd(found, rng)).encode()), links), "wat"


def odd(value, rng: random.Random):
    """JSON of the same shape with other values here and there."""
    if rng.random() < 0.05:
        return rng.choice([None, 1, -1.5, True, "", "x", "\ud800", [], {}, [value], {"x": value}, "IMG@/src"])
    if isinstance(value, dict):
        return {name: odd(one, rng) for name, one in value.items()}
    return [odd(one, rng) for one in value] if isinstance(value, list) else value


def run(numbers):
    for number in numbers:
        content, kind = case(number)
        try:
            _, found = extracted(content, kind, text_sources=["alt", "title", "figcaption", "og"])
        except BaseException as error:
            raise AssertionError(f"case {number}") from error
        assert found.records or found.damage


@pytest.mark.parametrize("start", range(0, 2100, 700))
def test_damage(start):
    run(range(start, start + 700))


@pytest.mark.slow
def test_a_hundred_thousand_cases():
    run(range(100_000))
