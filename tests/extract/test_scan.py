"""The compiled scan of a WAT record gives what the parser gives, or leaves the record to it."""

import json
import random

import pytest

from pipeline.extract.links import Links
from pipeline.extract.options import Extract
from pipeline.extract.scan import Scanner
from pipeline.extract.wat import TEXTS, read_metadata
from tests.extract.files import URL, image, metadata
from tests.extract.test_fuzz import HEAD, mutated, odd

ODD_TEXTS = [
    "",
    'a "b" \\ c / d',
    "ü\u2028 \U0001f408",
    "\ttab\nline\x00",
    "} ] , { [",
    "IMG@/src",
    '{"path": "IMG@/src"}',
    "\u00e9" * 300,
]


def content(links, head=None, **more):
    """The JSON of a record."""
    record = metadata(links, head, **more)
    return record.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n\r\n")


def rows(record, scanned, **options):
    """The rows that a record gives, and what became of its page."""
    links = Links(tuple(name for name in TEXTS if name in options.get("text_sources", TEXTS)))
    if not scanned:
        links.scanner.cut = lambda _: None
    page = read_metadata(record, URL, links, Extract(**options))
    return page, links.batch().to_pylist()


def same(record, **options):
    assert rows(record, True, **options) == rows(record, False, **options)


def is_scanned(record):
    return Scanner().cut(record) is not None


@pytest.mark.parametrize("spaces", [(", ", ": "), (",", ":"), (" ,\n\t", "\r : ")])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_plain_records_are_scanned(spaces, ascii_only):
    links = [image(f"{n}.jpg", text, title=f"t {n}", width=str(n)) for n, text in enumerate(ODD_TEXTS)]
    links += [
        image("bare.jpg"),
        image("x.jpg", "x", **{"data-image-title": "d", "rel": "y"}),
        {"path": "A@/href", "url": "z"},
    ]
    record = json.loads(content(links, HEAD))
    record = json.dumps(record, separators=spaces, ensure_ascii=ascii_only).encode()
    assert is_scanned(record) or ascii_only  # An escaped emoji is two halves, which the parser puts together.
    same(record)
    same(record, text_sources=["title", "alt"])
    same(record, text_sources=["og"])


@pytest.mark.parametrize(
    ("link", "scanned"),
    [
        ('{"path": "IMG@/src", "url": "a", "alt": null}', True),
        ('{"path": "IMG@/src", "url": "a", "alt": "x", "alt": "y"}', True),
        ('{"path": "IMG@/src", "url": "a", "alt": "x", "alt": null}', True),
        ('{"path": "A", "path": "IMG@/src", "url": "a", "alt": "x"}', True),
        ("{}", True),
        ('{"path": "IMG@\\/src", "url": "a", "alt": "x"}', False),
        ('{"path": "IMG@/src", "u\\u0072l": "a", "alt": "x"}', False),
        ('{"path": "IMG@/src", "url": "a", "alt": ["x"]}', False),
        ('{"path": "IMG@/src", "url": "a", "alt": {"x": 1}}', False),
        ('{"path": "IMG@/src", "url": "a", "alt": 1}', False),
        ('{"path": "IMG@/src", "url": "a", "width": 5}', False),
        ('{"path": "IMG@/src", "url": "a", "alt": "\\ud83d"}', False),
        ('{"path": "IMG@/src", "url": "a", "alt": "\\x"}', False),
        ('{"path": "IMG@/src", "url": "a", "alt": "x"},', False),
        ('"IMG@/src"', False),
    ],
)
def test_odd_links(link, scanned):
    record = content([image("b.jpg", "b")]).replace(b'"Links": [', f'"Links": [{link}, '.encode())
    assert is_scanned(record) == scanned
    same(record)


def test_links_elsewhere_are_no_links():
    record = json.loads(content([image("b.jpg", "b")]))
    record["Envelope"]["More"] = {"Links": [image("no.jpg", "no")]}
    same(json.dumps(record).encode())
    page = record["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"].pop("HTML-Metadata")
    same(json.dumps(record).encode())
    record["Envelope"]["More"] = page
    same(json.dumps(record).encode())
    same(content([image("b.jpg", '"Links": [{"path": "IMG@/src", "url": "x", "alt": "y"}]')]))


def test_more_images_than_there_is_room_for():
    same(content([image(f"{n}.jpg", "x") for n in range(20_000)]))


@pytest.mark.parametrize("start", range(0, 4000, 1000))
def test_damaged_records(start):
    links = [image(f"{n}.jpg", text, title="t") for n, text in enumerate(ODD_TEXTS)] + [{"path": "A@/href", "url": "x"}]
    for number in range(start, start + 1000):
        rng = random.Random(number)
        if number % 2:
            same(mutated(content(links, HEAD), rng))
        else:
            same(json.dumps(odd(json.loads(content(links, HEAD)), rng)).encode())
