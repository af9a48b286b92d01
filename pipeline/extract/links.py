"""What readers of crawl files find, before any rule: a row for each image and text that a page names together.

``Links`` collects rows in columns; ``batch`` gives them as Arrow, so that the rules (``pairs.py``) work on columns.
"""

import re
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.extract.scan import Scanner

# As the page has them. `base`: what `src` is resolved against; the page's URL where the page names no base, and where
# it names one that is relative, that resolved against the page's URL. `opted_out`: the reason that holds for the page.
LINKS = pa.schema(
    {
        "src": pa.string(),
        "text": pa.string(),
        "text_source": pa.string(),
        "page_url": pa.string(),
        "base": pa.string(),
        "page_language": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "opted_out": pa.string(),
    }
)

# What rules make of them: the rows of a pool.
KEPT = pa.schema(
    [
        pa.field("url", pa.string()),
        *(LINKS.field(name) for name in ("text", "text_source", "page_url", "page_language", "width", "height")),
    ]
)
# On their way to ``repeats.py`` pairs also say whether their URL was relative.
SENT = KEPT.append(pa.field("relative", pa.bool_()))

_DIMENSION = re.compile(r"[\t\n\f\r ]*\+?(\d{1,9})(?:\.\d*)?[\t\n\f\r ]*(%?)", re.ASCII)
# What all images of a page share is held once a row: longer than so many characters it is none.
MOST_URL, MOST_LANGUAGE, MOST_CAPTION = 4096, 100, 4096


class Links:
    """Rows on their way: ``append`` takes the values of ``LINKS`` in order.

    Images that were found by a scan of a WAT record (``scanned``) come after those that were appended. ``sources``: the
    attributes that are texts.
    """

    def __init__(self, sources: tuple[str, ...] = ()) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.append = self.rows.append
        self.sources = sources
        self.scanner = Scanner()
        self.pages: list[tuple[Any, ...]] = []
        self.images: list[int] = []
        self.scanned_images = 0

    def __len__(self) -> int:
        return len(self.rows) + self.scanned_images

    def scanned(self, content: bytes, images: int, page: tuple[str, str, str | None, str | None]) -> None:
        """Adds the images that the scanner found in a record; ``page``: its URL, base, language and ``opted_out``."""
        self.scanner.keep(content, images)
        self.pages.append(page)
        self.images.append(images)
        self.scanned_images += images

    def batch(self, most: int = 1 << 15) -> pa.RecordBatch:
        """Rows, which are gone from here then: so many of those that were appended, and all of scanned images."""
        columns = list(zip(*self.rows[:most], strict=True)) or [()] * len(LINKS)
        del self.rows[:most]
        rows = pa.RecordBatch.from_arrays(
            [pa.array(column, field.type) for column, field in zip(columns, LINKS, strict=True)], schema=LINKS
        )
        if self.scanned_images:
            rows = pa.concat_batches([rows, self._of_scanner()])
            self.scanner.clear()
            self.pages, self.images, self.scanned_images = [], [], 0
        return rows

    def _of_scanner(self) -> pa.RecordBatch:
        """The rows of scanned images: in order, one for each of their texts, or one without."""
        found = self.scanner.columns(("url", *self.sources, "width", "height"))
        there = np.zeros((len(self.sources), len(found["url"])), bool)
        for at, name in enumerate(self.sources):
            there[at] = found[name].is_valid().to_numpy(zero_copy_only=False)
        bare = np.flatnonzero(~there.any(axis=0))
        image = np.concatenate([*(np.flatnonzero(one) for one in there), bare])
        which = np.concatenate([*(np.full(one.sum(), at) for at, one in enumerate(there)), np.full(len(bare), -1)])
        order = np.lexsort((which, image))
        texts = pa.concat_arrays(
            [*(found[name].drop_null() for name in self.sources), pa.nulls(len(bare), pa.string())]
        )
        image, order = pa.array(image[order]), pa.array(order)
        page = pa.array(np.repeat(np.arange(len(self.pages)), self.images)).take(image)
        of_pages = [pa.array(column, pa.string()).take(page) for column in zip(*self.pages, strict=True)]
        names = pa.array([*self.sources, None], pa.string()).take(pa.array(which % (len(self.sources) + 1)).take(order))
        sides = [_dimensions(found[name]).take(image) for name in ("width", "height")]
        url, base, language, out = of_pages
        columns = [found["url"].take(image), texts.take(order), names, url, base, language, *sides, out]
        return pa.RecordBatch.from_arrays(columns, schema=LINKS)


def _dimensions(values: pa.Array) -> pa.Array:
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.int32())
    return pa.array([dimension(value) for value in values.to_pylist()], pa.int32())


def dimension(value: str | None) -> int | None:
    """A width or height in pixels, by the HTML standard's rules for dimensions; None for a percentage or no number."""
    found = _DIMENSION.match(value) if value else None
    return min(int(found[1]), 2**31 - 1) if found and not found[2] else None
