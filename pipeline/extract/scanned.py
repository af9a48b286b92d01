"""Pages by the compiled scan: many at once, and one of them as the rules for lazy images want it."""

from typing import NamedTuple

import numpy as np

from pipeline.compiled import MASKED
from pipeline.extract.charset import is_utf8
from pipeline.extract.construction import MOST_OPEN, STATES
from pipeline.extract.page import Attributes, Page
from pipeline.extract.page_scan import SHORTEST, scan_pages
from pipeline.extract.references import attribute_value
from pipeline.extract.tags import (
    BASE,
    FIELD,
    HIDDEN,
    HTML,
    IMAGE_ROW,
    IMG,
    META,
    OF_PICTURE,
    OTHER,
    OTHER_OF_PICTURE,
    OTHER_ROW,
    SOURCE,
    WANTED,
)
from pipeline.extract.tokenizer import ESCAPED, VALUELESS

PADDING = bytes(MASKED)


class Scanned(NamedTuple):
    """What a scan found of pages that lie one after the other in ``joined``, which ``data`` is an array of.

    ``images`` and ``others``: rows of elements (``page_scan.py``). ``counts``: a row a page, how many images it has, or
    ``UNSURE``, how many others, and how many of its images need more than the scan.
    """

    joined: bytes
    data: np.ndarray
    images: np.ndarray
    others: list[list[int]]
    counts: np.ndarray


def scanned(pages: list[bytes], graph: bool) -> Scanned:
    """The elements of pages in UTF-8; other bytes are U+FFFD. ``graph``: whether Open Graph is wanted, too."""
    joined, ends = _joined(pages)
    if not is_utf8(joined, ends):
        joined, ends = _joined([page.decode("utf-8", "replace").encode() for page in pages])
    data = np.frombuffer(joined, np.uint8)
    most = len(joined) // SHORTEST + 1
    images, others = np.empty((most, IMAGE_ROW), np.int32), np.empty((most, OTHER_ROW), np.int32)
    counts = np.empty((len(pages), 3), np.int64)
    state, held = np.empty(STATES, np.int64), np.empty(MOST_OPEN, np.int64)
    rows, more = scan_pages(data, ends[1:], graph, images, others, counts, state, held)
    return Scanned(joined, data, images[:rows], others[:more].tolist(), counts)


def _joined(pages: list[bytes]) -> tuple[bytes, np.ndarray]:
    return b"".join([*pages, PADDING]), np.cumsum([0, *map(len, pages)])


class ScannedPage(Page):
    """A page of a scan; images are known by their rows."""

    def __init__(self, data: bytes, images: list[list[int]], others: list[list[int]]):
        found: dict[int, list[Attributes]] = {HTML: [], BASE: [], META: []}
        self.of_pictures: dict[int, list[Attributes]] = {}
        for row in others:
            kind = row[OTHER]
            values = _attributes(data, row, kind)
            if kind == SOURCE:
                self.of_pictures.setdefault(row[OTHER_OF_PICTURE], []).append(values)
            else:
                found[kind].append(values)
        super().__init__(found[HTML], found[BASE], found[META])
        self.images = [(row, _attributes(data, row, IMG)) for row in images]
        self.has_noscript = any(row[HIDDEN] for row, _ in self.images)
        self.has_picture = any(row[OF_PICTURE] >= 0 for row, _ in self.images)

    def is_hidden(self, image: list[int]) -> bool:
        """Whether an image is in ``<noscript>``."""
        return image[HIDDEN] > 0

    def sources(self, image: list[int]) -> list[Attributes]:
        """The sources of the ``<picture>`` that an image is a child of."""
        return self.of_pictures.get(image[OF_PICTURE], [])

    def caption(self, image: list[int]) -> None:
        """None: a page with captions that are wanted is not scanned."""


def _attributes(data: bytes, row: list[int], kind: int) -> Attributes:
    found: Attributes = {}
    for column, name in zip(range(0, len(row), FIELD), WANTED[kind]):  # noqa: B905, a row has more columns
        start, end, flags = row[column : column + FIELD]
        if start >= 0:
            value = None if flags & VALUELESS else data[start:end].decode()
            found[name] = attribute_value(value) if flags & ESCAPED else value
    return found


def of_attributes(raw: list[bytes]) -> list[str]:
    """What values of attributes with escapes stand for."""
    return [attribute_value(value.decode()) for value in raw]
