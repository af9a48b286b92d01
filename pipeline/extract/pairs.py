"""The rules that make pairs of links: absolute URLs, texts in one form, what is dropped by which reason.

A row of links is dropped by the first reason that holds: its page opted out, its URL, its size, its text. All work on
columns (``links.LINKS`` to ``KEPT``).
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.extract.found import Found
from pipeline.extract.links import KEPT, SENT
from pipeline.extract.spaces import one_spaced
from pipeline.extract.urls import absolute_urls

NO_TEXT, EMPTY_TEXT, TRACKING_PIXEL = "no_text", "empty_text", "tracking_pixel"


def kept_pairs(links: pa.RecordBatch, found: Found) -> pa.RecordBatch:
    """The pairs of links (``SENT``); counts the links, and what is dropped by reason."""
    urls, why, relative = absolute_urls(links.column("src"), links.column("base"))
    texts = one_spaced(links.column("text"))
    as_named = [links.column(name) for name in KEPT.names[2:]]
    rows = pa.RecordBatch.from_arrays([urls, texts, *as_named, relative], schema=SENT)
    found.links += links.num_rows
    if not (reasons := [*_reasons(links, why, texts)]):
        return rows
    reason = pc.coalesce(*reasons)
    for line in pc.value_counts(reason.drop_null()).to_pylist():
        found.dropped[line["values"]] += line["counts"]
    return rows.filter(pc.is_null(reason))


def _reasons(links: pa.RecordBatch, why: pa.Array, texts: pa.Array) -> Iterator[pa.Array]:
    """Why rows are dropped, the first that holds first; what holds for none is left out. ``why``: by the URL."""
    for column in (links.column("opted_out"), why):
        if column.null_count < len(column):
            yield column
    width, height = links.column("width"), links.column("height")
    if max(width.null_count, height.null_count) < len(width):
        yield pc.if_else(pc.and_(_at_most_one(width), _at_most_one(height)), pa.scalar(TRACKING_PIXEL), None)
    if texts.null_count or pc.any(pc.equal(pc.binary_length(texts), 0)).as_py():
        yield pc.if_else(pc.is_null(texts), NO_TEXT, pc.if_else(pc.equal(texts, ""), EMPTY_TEXT, None))


def _at_most_one(side: pa.Array) -> pa.Array:
    return pc.fill_null(pc.less_equal(side, 1), False)
