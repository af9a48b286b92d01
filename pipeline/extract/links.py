"""What readers of crawl files find, before any rule: a row for each image and text that a page names together.

``Links`` collects rows in columns; ``batch`` gives them as Arrow, so that the rules (``pairs.py``) work on columns.
"""

import re
from typing import Any

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
    """Rows on their way: ``append`` takes the values of ``LINKS`` in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.append = self.rows.append

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, most: int = 1 << 15) -> pa.RecordBatch:
        """The first rows, which are gone from here then."""
        columns = list(zip(*self.rows[:most], strict=True)) or [()] * len(LINKS)
        del self.rows[:most]
        return pa.RecordBatch.from_arrays(
            [pa.array(column, field.type) for column, field in zip(columns, LINKS, strict=True)], schema=LINKS
        )


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
