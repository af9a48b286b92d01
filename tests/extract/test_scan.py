"""The compiled scan of a WAT record gives what the parser gives, or leaves the record to it."""

import io
import json
import random
from collections import Counter

import pytest

from pipeline.extract.links import dimension
from pipeline.extract.options import Extract
from pipeline.extract.records import Records
from pipeline.extract.scan import IMAGE, TEXTS, UNSURE, scanned
from pipeline.extract.wat import IN_BYTES, Metadata
from tests.extract.files import image, metadata, record
from tests.extract.test_fuzz import HEAD, mutated, odd

ALL = list(TEXTS)
OF_LINK = ["src", "text", "text_source", "width", "height"]

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


def read(records, sources=ALL):
    """What became of the pages of records that are read together, and their rows."""
    metadata, pages = Metadata(Extract(text_sources=sources), lambda number: None), Counter()
    file = io.BytesIO(b"".join(record("metadata", one) for one in records))
    for number, one, found in Records(file, 1 << 24):
        metadata.add(number, one, found, pages)
    return pages, metadata.batch(pages).select(OF_LINK).to_pylist()


def by_parser(one, sources=ALL):
    """The rows of a record by Python's own means; None where its JSON cannot be read."""
    if IN_BYTES not in one:
        return []
    try:
        value = json.loads(one.decode("utf-8", "replace"), strict=False)
        value = json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    try:
        links = value["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"]["HTML-Metadata"]["Links"]
    except (LookupError, TypeError):
        return []
    found = []
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("path") == IMAGE:
            link = {name: text for name, text in link.items() if isinstance(text, str)}
            sides = [dimension(link.get(name)) for name in ("width", "height")]
            texts = [(link[name], name) for name in TEXTS if name in sources and name in link]
            found += [(link.get("url"), *text, *sides) for text in texts or [(None, None)]]
    return [dict(zip(OF_LINK, row, strict=True)) for row in found]


def same(one, sources=ALL):
    expected = by_parser(one, sources)
    pages, found = read([one], sources)
    assert found == (expected or [])
    assert pages["bad_json"] == (expected is None)


def is_scanned(one):
    return scanned([one])[3][0, 0] != UNSURE


@pytest.mark.parametrize("spaces", [(", ", ": "), (",", ":"), (" ,\n\t", "\r : ")])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_plain_records_are_scanned(spaces, ascii_only):
    links = [image(f"{n}.jpg", text, title=f"t {n}", width=str(n)) for n, text in enumerate(ODD_TEXTS)]
    links += [
        image("bare.jpg"),
        image("x.jpg", "x", **{"data-image-title": "d", "rel": "y"}),
        {"path": "A@/href", "url": "z"},
    ]
    one = json.loads(content(links, HEAD))
    one = json.dumps(one, separators=spaces, ensure_ascii=ascii_only).encode()
    assert is_scanned(one) or ascii_only  # An escaped emoji is two halves, which the parser puts together.
    same(one)
    same(one, ["title", "alt"])
    same(one, ["og"])


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
    one = content([image("b.jpg", "b")]).replace(b'"Links": [', f'"Links": [{link}, '.encode())
    assert is_scanned(one) == scanned
    same(one)


def test_links_elsewhere_are_no_links():
    one = json.loads(content([image("b.jpg", "b")]))
    one["Envelope"]["More"] = {"Links": [image("no.jpg", "no")]}
    same(json.dumps(one).encode())
    page = one["Envelope"]["Payload-Metadata"]["HTTP-Response-Metadata"].pop("HTML-Metadata")
    same(json.dumps(one).encode())
    one["Envelope"]["More"] = page
    same(json.dumps(one).encode())
    same(content([image("b.jpg", '"Links": [{"path": "IMG@/src", "url": "x", "alt": "y"}]')]))


def test_more_images_than_there_is_room_for():
    same(content([image(f"{n}.jpg", "x") for n in range(20_000)]))


def damaged(number):
    """A record with odd texts, damaged."""
    rng = random.Random(number)
    links = [image(f"{n}.jpg", text, title="t") for n, text in enumerate(ODD_TEXTS)] + [{"path": "A@/href", "url": "x"}]
    if number % 2:
        return mutated(content(links, HEAD), rng)
    return json.dumps(odd(json.loads(content(links, HEAD)), rng)).encode()


@pytest.mark.parametrize("start", range(0, 4000, 1000))
def test_damaged_records(start):
    for number in range(start, start + 1000):
        same(damaged(number))


def test_records_that_are_read_together_do_not_touch_each_other():
    records = [damaged(number) for number in range(400)]
    found = [by_parser(one) for one in records]
    pages, rows = read(records)
    assert rows == [row for one in found for row in one or []]
    assert pages["bad_json"] == found.count(None)


def test_every_cut_of_a_record_before_another():
    whole = content([image("a.jpg", "x"), {"path": "A@/href", "url": "x", "text": "y"}], HEAD)
    for end in range(len(whole)):
        assert read([whole[:end], whole])[1] == by_parser(whole)
