"""What readers of crawl files find, before any rule: a row for each image and text that a page names together.

``Links`` collects rows in columns; ``batch`` gives them as Arrow, so that the rules (``pairs.py``) work on columns.
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


class Links:
    """Rows on their way, a page after the other: ``begin`` takes what all of a page share, ``append`` its rows.

    A row is src, text, text_source, width and height.
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.append = self.rows.append
        self.pages: list[tuple[str, str, str | None, str | None]] = []
        self.starts: list[int] = []
        self.given = 0

    def __len__(self) -> int:
        return len(self.rows) - self.given

    def begin(self, page_url: str, base: str, language: str | None, opted_out: str | None) -> None:
        """The rows after are of this page."""
        self.pages.append((page_url, base, language, opted_out))
        self.starts.append(len(self.rows))

    def batch(self, most: int = 1 << 15) -> pa.RecordBatch:
        """The first rows, which are gone from here then."""
        rows = self.rows[self.given : self.given + most]
        if not rows:
            return pa.RecordBatch.from_pylist([], schema=LINKS)
        places = np.arange(self.given, self.given + len(rows))
        page = pa.array(np.searchsorted(self.starts, places, "right") - 1)
        urls, bases, languages, outs = (pa.array(column, pa.string()) for column in zip(*self.pages, strict=True))
        src, text, source, width, height = zip(*rows, strict=True)
        self.given += len(rows)
        if self.given == len(self.rows):
            self._clear()
        columns = [
            src, text, source, urls.take(page), pa.DictionaryArray.from_arrays(page.cast(pa.int32()), bases),
            languages.take(page), width, height, outs.take(page),
        ]  # fmt: skip
        return pa.RecordBatch.from_arrays(
            [pa.array(column, field.type) if isinstance(column, tuple) else column
             for column, field in zip(columns, LINKS, strict=True)], schema=LINKS
        )  # fmt: skip


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
