"""What readers of crawl files find, before any rule: a row for each image and text that a page names together.

They are given as Arrow, so that the rules (``pairs.py``) work on columns.
"""

import re
from typing import Any

import numpy as np
import pyarrow as pa

# As the page has them. `base`: what `src` is resolved against; the page's URL where the page names no base, and where
# it names one that is relative, that resolved against the page's URL. `opted_out`: the reason that holds for the page.
LINKS = pa.schema(
    {
        "src": pa.string(),
        "text": pa.string(),
        "text_source": pa.string(),
        "page_url": pa.string(),
        "base": pa.dictionary(pa.int32(), pa.string()),
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
# What the images of a page share: its URL, base, language, and why it opted out.
OfPage = tuple[str | None, str | None, str | None, str | None]
NOTHING: OfPage = (None, None, None, None)


class Rows:
    """Rows of single pages: ``begin`` says which page the rows after are of, ``append`` takes one.

    A row is src, text, text_source, width and height.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.append = self.rows.append
        self.pages: list[int] = []
        self.starts: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def begin(self, page: int) -> None:
        """The rows after are of this page, by its place in ``of_pages``."""
        self.pages.append(page)
        self.starts.append(len(self.rows))

    def links(self, of_pages: list[OfPage]) -> tuple[pa.RecordBatch, np.ndarray]:
        """The rows (``LINKS``), and the page of each."""
        src, text, source, width, height = zip(*self.rows, strict=True) if self.rows else ((),) * 5
        pages = np.array(self.pages, np.int64)[np.searchsorted(self.starts, np.arange(len(self.rows)), "right") - 1]
        columns = [
            (src, pa.string()),
            (text, pa.string()),
            (source, pa.string()),
            (width, pa.int32()),
            (height, pa.int32()),
        ]
        return links_of_pages([pa.array(*column) for column in columns], pages, of_pages), pages


def links_of_pages(columns: list[pa.Array], pages: np.ndarray, of_pages: list[OfPage]) -> pa.RecordBatch:
    """Links: src, text, text_source, width and height of rows, with what the page of each has."""
    page = pa.array(pages)
    urls, bases, languages, outs = (
        pa.array(column, pa.string()) for column in zip(*of_pages or [NOTHING], strict=True)
    )
    src, text, source, width, height = columns
    columns = [
        src, text, source, urls.take(page), pa.DictionaryArray.from_arrays(page.cast(pa.int32()), bases),
        taken(languages, page), width, height, taken(outs, page),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, schema=LINKS)


def taken(values: pa.Array, rows: pa.Array) -> pa.Array:
    """The values of rows; often there is none at all."""
    return pa.nulls(len(rows), values.type) if values.null_count == len(values) else values.take(rows)


def dimensions(values: pa.Array) -> pa.Array:
    """Widths or heights in pixels (``dimension``), each distinct one looked at once."""
    if values.null_count == len(values):
        return pa.nulls(len(values), pa.int32())
    values = values.dictionary_encode()
    sides = pa.array([dimension(value) for value in values.dictionary.to_pylist()], pa.int32())
    return sides.take(values.indices)


def dimension(value: str | None) -> int | None:
    """A width or height in pixels, by the HTML standard's rules for dimensions; None for a percentage or no number."""
    found = _DIMENSION.match(value) if value else None
    return min(int(found[1]), 2**31 - 1) if found and not found[2] else None
