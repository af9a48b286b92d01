"""Columns of what a scan found: the strings that spans of bytes stand for."""

from collections.abc import Callable

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.compiled import copy_bytes, flat
from pipeline.extract.links import OfPage, dimensions, links_of_pages, taken
from pipeline.extract.scan import FIELD, HEIGHT, URL, WIDTH

Decode = Callable[[list[bytes]], list[str]]


@flat
def lay_out(spans, fields, images, sources, urls, texts):
    """Rows in the order of images: one for each text that an image has, or one without; returns their number.

    ``fields``: the columns of the texts in ``spans``. ``sources``: which of these a row's text is, their number for
    none. ``urls`` and ``texts``: the spans of a row.
    """
    row = 0
    for image in range(len(spans)):
        span, bare = spans[image], True
        for source in range(len(fields)):
            field = fields[source]
            if span[field] >= 0:
                images[row], sources[row] = image, source
                for part in range(FIELD):
                    urls[row, part], texts[row, part] = span[URL + part], span[field + part]
                row, bare = row + 1, False
        if bare:
            images[row], sources[row] = image, len(fields)
            for part in range(FIELD):
                urls[row, part], texts[row, part] = span[URL + part], -1
            row += 1
    return row


@flat
def measure(spans, offsets, valid):
    """Where the strings of spans end behind each other; whether there is one; returns how many have escapes."""
    total, escaped = 0, 0
    for row in range(len(spans)):
        valid[row] = spans[row, 0] >= 0
        if valid[row]:
            total += spans[row, 1] - spans[row, 0]
            escaped += spans[row, 2] != 0
        offsets[row + 1] = total
    return escaped


@flat
def gather(data, spans, out):
    """Copies the strings of spans behind each other."""
    at = 0
    for row in range(len(spans)):
        if spans[row, 0] >= 0:
            at = copy_bytes(data, spans[row, 0], spans[row, 1], out, at)


def rows_of(spans: np.ndarray, fields: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, source, span of the URL and span of the text of each row; see ``lay_out``."""
    most = len(spans) * max(1, len(fields))
    images, sources = np.empty(most, np.int64), np.empty(most, np.int64)
    urls, texts = np.empty((most, FIELD), spans.dtype), np.empty((most, FIELD), spans.dtype)
    count = lay_out(spans, np.array(fields, np.int64), images, sources, urls, texts)
    return images[:count], sources[:count], urls[:count], texts[:count]


def image_links(
    data: np.ndarray,
    pages: np.ndarray,
    spans: np.ndarray,
    of_pages: list[OfPage],
    texts: dict[str, int],
    decode: Decode,
) -> tuple[pa.RecordBatch, np.ndarray]:
    """Links of images, by their spans and the places of their pages, and the page of each.

    ``texts``: attributes that are texts, with their columns in the spans.
    """
    images, sources, of_urls, of_texts = rows_of(spans, list(texts.values()))
    image = pa.array(images)
    sides = [dimensions(strings(data, spans[:, side : side + FIELD].copy(), decode)) for side in (WIDTH, HEIGHT)]
    columns = [
        strings(data, of_urls, decode), strings(data, of_texts, decode),
        pa.array([*texts, None], pa.string()).take(pa.array(sources)), *(taken(side, image) for side in sides),
    ]  # fmt: skip
    pages = pages[images]
    return links_of_pages(columns, pages, of_pages), pages


def strings(data: np.ndarray, spans: np.ndarray, decode: Decode) -> pa.Array:
    """The strings of spans (start, end, whether there are escapes) of UTF-8; null where a start is negative.

    ``decode``: takes those with escapes, and gives what they stand for.
    """
    offsets, valid = np.zeros(len(spans) + 1, np.int32), np.empty(len(spans), bool)
    escaped = measure(spans, offsets, valid)
    out = np.empty(int(offsets[-1]), np.uint8)
    gather(data, spans, out)
    nulls = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    found = pa.StringArray.from_buffers(len(spans), pa.py_buffer(offsets), pa.py_buffer(out), nulls)
    if not escaped:
        return found
    odd = valid & (spans[:, 2] > 0)
    raw = [data[start:end].tobytes() for start, end in spans[odd, :2].tolist()]
    return pc.replace_with_mask(found, pa.array(odd), pa.array(decode(raw), pa.string()))


def of_json(raw: list[bytes]) -> list[str]:
    """The strings of JSON that have escapes, given without their quotes."""
    return orjson.loads(b"[" + b",".join([b'"' + one + b'"' for one in raw]) + b"]")
