"""The rules that make pairs of links: absolute URLs, texts in one form, what is dropped by which reason.

A row of links is dropped by the first reason that holds: its page opted out, its URL, its size, its text. All work on
columns (``links.LINKS`` to ``KEPT``).
"""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.extract.found import Found
from pipeline.extract.links import KEPT, SENT
from pipeline.extract.urls import absolute_urls

NO_TEXT, EMPTY_TEXT, TRACKING_PIXEL = "no_text", "empty_text", "tracking_pixel"
# Separators and control characters of any script: they part words, so one space takes the place of each run.
SPACES = r"[\p{Z}\p{Cc}]+"
_ODD_SPACES = r"[\p{Zl}\p{Zp}\p{Cc}]|[\x{00a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]|  |^ | $"


def kept_pairs(links: pa.RecordBatch, found: Found) -> pa.RecordBatch:
    """The pairs of links (``SENT``); counts the links, and what is dropped by reason."""
    urls, why, relative = absolute_urls(links.column("src"), links.column("base"))
    texts = one_spaced(links.column("text"))
    pixel = pc.and_(_at_most_one(links.column("width")), _at_most_one(links.column("height")))
    reasons = pc.coalesce(
        links.column("opted_out"),
        why,
        pc.if_else(pixel, pa.scalar(TRACKING_PIXEL), None),
        pc.if_else(pc.is_null(texts), NO_TEXT, pc.if_else(pc.equal(texts, ""), EMPTY_TEXT, None)),
    )
    kept = pc.is_null(reasons)
    as_named = [links.column(name) for name in KEPT.names[2:]]
    rows = pa.RecordBatch.from_arrays([urls, texts, *as_named, relative], schema=SENT).filter(kept)
    found.links += links.num_rows
    for line in pc.value_counts(reasons.drop_null()).to_pylist():
        found.dropped[line["values"]] += line["counts"]
    return rows


def one_spaced(texts: pa.Array) -> pa.Array:
    """Texts with single spaces between words and none around."""
    odd = pc.fill_null(pc.match_substring_regex(texts, _ODD_SPACES), False)
    if not pc.any(odd).as_py():
        return texts
    mended = pc.replace_substring_regex(texts.filter(odd), SPACES, " ")
    return pc.replace_with_mask(texts, odd, pc.utf8_trim(mended, " "))


def _at_most_one(side: pa.Array) -> pa.Array:
    return pc.fill_null(pc.less_equal(side, 1), False)
