"""The image links of a WAT record by a compiled scan: most of a record is other links, which need no Python value.

``scan_links`` goes over the bytes of the JSON once, finds the array ``Links`` and in it the links of images, and takes
nothing that it is not sure of: a link with another value in it, or an odd escape, sends the record to the parser.
"""

import re

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.compiled import compiled

# What is looked for in a link, each as start, end and whether it has escapes, in the columns of the spans.
KEYS = ("url", "alt", "title", "data-image-title", "width", "height", "path")
FIELD = 3
MOST_IMAGES = 1 << 14
QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = (ord(sign) for sign in '"\\:,{}[]')
NAMES = np.frombuffer("".join(KEYS).encode(), np.uint8)
ENDS = np.cumsum([len(key) for key in KEYS])
# What may follow a backslash but for u.
ESCAPES = np.isin(np.arange(256), list(b'"\\/bfnrt'))
LINKS_KEY = np.frombuffer(b"Links", np.uint8)
IMAGE_PATH = np.frombuffer(b"IMG@/src", np.uint8)
# Stands for the links in what the parser gets.
MARK, MARKED = b"[20211203]", [20211203]
# Half of a surrogate pair, or a whole one: the parser knows which.
ESCAPED = b"\\u"
HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
PATH, WIDTH = KEYS.index("path"), KEYS.index("width")


@compiled
def scan_links(data, spans, names, ends, links_key, image_path):
    """How many images ``data`` names, with their spans, and where the brackets of the links are; -1 for not sure."""
    at, size, first, last, found = 0, len(data), -1, -1, 0
    while at < size:
        if data[at] != QUOTE:
            at += 1
            continue
        end, _ = string_end(data, at + 1)
        if end < 0:
            return -1, 0, 0
        named = same(data, at + 1, end, links_key, 0, len(links_key))
        at = end + 1
        if named:
            after = skip(data, at)
            if after < size and data[after] == COLON:
                after = skip(data, after + 1)
                if after < size and data[after] == OPEN_LIST:
                    if first >= 0:
                        return -1, 0, 0
                    first = after
                    found, last = scan_array(data, after + 1, spans, names, ends, image_path)
                    if found < 0:
                        return -1, 0, 0
                    at = last + 1
    return (found, first, last) if first >= 0 else (-1, 0, 0)


@compiled
def scan_array(data, at, spans, names, ends, image_path):
    """The images of an array of flat objects, and where it ends; -1 for anything else."""
    size, found = len(data), 0
    at = skip(data, at)
    if at < size and data[at] == CLOSE_LIST:
        return 0, at
    while at < size and data[at] == OPEN and found < len(spans):
        at = scan_link(data, at + 1, spans[found], names, ends)
        if at < 0:
            return -1, 0
        start, end = spans[found, FIELD * PATH], spans[found, FIELD * PATH + 1]
        if start >= 0 and same(data, start, end, image_path, 0, len(image_path)):
            found += 1
        elif start >= 0 and spans[found, FIELD * PATH + 2]:
            return -1, 0
        at = skip(data, at)
        if at < size and data[at] == CLOSE_LIST:
            return found, at
        if at >= size or data[at] != COMMA:
            return -1, 0
        at = skip(data, at + 1)
    return -1, 0


@compiled
def scan_link(data, at, span, names, ends):
    """Fills the spans of one object and gives the place after it; -1 where a value is none that is known."""
    size = len(data)
    span[:] = -1
    at = skip(data, at)
    if at < size and data[at] == CLOSE:
        return at + 1
    while at < size and data[at] == QUOTE:
        start = at + 1
        end, escaped = string_end(data, start)
        if end < 0 or escaped:
            return -1
        field, name = -1, 0
        for number in range(len(ends)):
            if same(data, start, end, names, name, ends[number]):
                field = FIELD * number
            name = ends[number]
        at = skip(data, end + 1)
        if at >= size or data[at] != COLON:
            return -1
        at = skip(data, at + 1)
        if at >= size:
            return -1
        if data[at] == QUOTE:
            end, escaped = string_end(data, at + 1)
            if end < 0:
                return -1
            if field >= 0:
                span[field], span[field + 1], span[field + 2] = at + 1, end, escaped
            at = end + 1
        elif field < 0 or field >= FIELD * WIDTH:
            return -1  # A number or the like where nobody expects one is for the parser.
        elif at + 4 <= size and data[at] == 110 and data[at + 1] == 117 and data[at + 2] == 108 and data[at + 3] == 108:
            span[field] = -1  # null
            at += 4
        else:
            return -1
        at = skip(data, at)
        if at < size and data[at] == CLOSE:
            return at + 1
        if at >= size or data[at] != COMMA:
            return -1
        at = skip(data, at + 1)
    return -1


@compiled
def string_end(data, at):
    """Where a string ends, -1 where it does not or is none of JSON; and 1 if it has escapes, which are valid."""
    size, escaped, plain = len(data), 0, ESCAPES
    while at < size:
        sign = data[at]
        if sign == QUOTE:
            return at, escaped
        if sign < 32:
            return -1, 0
        if sign == BACKSLASH:
            escaped = 1
            at += 1
            if at >= size:
                return -1, 0
            sign = data[at]
            if sign == 117:  # u
                if at + 4 >= size:
                    return -1, 0
                for place in range(at + 1, at + 5):
                    digit = data[place] | 32
                    if not (48 <= data[place] <= 57 or 97 <= digit <= 102):
                        return -1, 0
                at += 4
            elif not plain[sign]:
                return -1, 0
        at += 1
    return -1, 0


@compiled
def skip(data, at):
    """The next place without white space."""
    while at < len(data) and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@compiled
def same(data, start, end, other, first, last):
    """Whether two runs of bytes are the same."""
    if end - start != last - first:
        return False
    for place in range(last - first):  # noqa: SIM110, compiled
        if data[start + place] != other[first + place]:
            return False
    return True


@compiled
def gather(data, starts, ends, offsets, out):
    """Copies runs of bytes behind each other; ``offsets`` says where each ends."""
    at = 0
    for number in range(len(starts)):
        for place in range(starts[number], ends[number]):
            out[at] = data[place]
            at += 1
        offsets[number + 1] = at


class Scanner:
    """Finds the images of records, one after the other, and gives them as columns in the end."""

    def __init__(self) -> None:
        self.room = np.empty((MOST_IMAGES, FIELD * len(KEYS)), np.int64)
        self.clear()

    def clear(self) -> None:
        """Forgets the records."""
        self.contents: list[bytes] = []
        self.spans: list[np.ndarray] = []

    def cut(self, content: bytes) -> tuple[bytes, int] | None:
        """A record with ``MARK`` for its links, and how many images these have; None where the parser has to look."""
        images, first, last = scan_links(
            np.frombuffer(content, np.uint8), self.room, NAMES, ENDS, LINKS_KEY, IMAGE_PATH
        )
        if images < 0:
            return None
        links = content[first : last + 1]
        if not links.isascii():
            try:
                str(links, "utf-8")
            except UnicodeDecodeError:
                return None
        if ESCAPED in links and HALVES.search(links):
            return None
        return content[:first] + MARK + content[last + 1 :], images

    def keep(self, content: bytes, images: int) -> None:
        """Keeps the images of the record that was cut last."""
        self.spans.append(self.room[:images].copy())
        self.contents.append(content)

    def columns(self, keys: tuple[str, ...]) -> dict[str, pa.Array]:
        """The values of keys for all images that were kept, null where a link has none."""
        data, spans = np.frombuffer(b"".join(self.contents), np.uint8), np.concatenate(self.spans)
        before = np.cumsum([0, *map(len, self.contents[:-1])])
        before = np.repeat(before, [len(one) for one in self.spans])[:, None]
        starts, ends = spans[:, 0::FIELD], spans[:, 1::FIELD]
        before = np.where(starts >= 0, before, 0)
        starts += before
        ends += before
        return {key: _strings(data, spans, key) for key in keys}


def _strings(data: np.ndarray, spans: np.ndarray, key: str) -> pa.Array:
    """The values of a key."""
    first = FIELD * KEYS.index(key)
    starts, ends, escaped = spans[:, first], spans[:, first + 1], spans[:, first + 2]
    there = starts >= 0
    if not there.any():
        return pa.nulls(len(spans), pa.string())
    ends = np.where(there, ends, starts)
    offsets = np.zeros(len(spans) + 1, np.int32)
    out = np.empty(int((ends - starts).sum()), np.uint8)
    gather(data, starts, ends, offsets, out)
    valid = None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
    found = pa.StringArray.from_buffers(len(spans), pa.py_buffer(offsets), pa.py_buffer(out), valid)
    odd = there & (escaped == 1)
    if odd.any():
        texts = [
            orjson.loads(b'"' + data[start:end].tobytes() + b'"')
            for start, end in zip(starts[odd], ends[odd], strict=True)
        ]
        found = pc.replace_with_mask(found, pa.array(odd), pa.array(texts, pa.string()))
    return found
