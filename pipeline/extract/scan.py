"""The image links of WAT records by a compiled scan: most of a record is other links, which need no Python value.

``scan_records`` goes over the JSON of records once, finds the array ``Links`` and in it the links of images, and takes
nothing that it is not sure of: a link with another value in it, or an odd escape, leaves the record to the parser.
"""

import numpy as np

from pipeline.compiled import MASKED, flat, load_word, lowest_bit, mask_below, mask_equal
from pipeline.extract.charset import is_utf8

# What is looked for in a link, each as start, end and whether it has escapes, in the columns of the spans.
KEYS = ("url", "alt", "title", "data-image-title", "width", "height", "path")
FIELD = 3
URL, ALT, TITLE, DATA_TITLE, WIDTH, HEIGHT, PATH = range(0, FIELD * len(KEYS), FIELD)
OTHER = -1
TEXTS = {"alt": ALT, "title": TITLE, "data-image-title": DATA_TITLE}
IMAGE = "IMG@/src"
# Instead of the number of images: the record is for the parser.
UNSURE = -1
SHORTEST_LINK = len('{"path":"IMG@/src"}')
# What the data of a scan end with: words are read beyond the last record.
PADDING = bytes(MASKED)
QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST = (ord(sign) for sign in '"\\:,{}[]')
# What may follow a backslash but for u.
ESCAPES = np.isin(np.arange(256), list(b'"\\/bfnrt'))
ESCAPED, SURROGATE = 1, 2


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(text.encode()[:8], "little"))


# Keys with the quote behind them. Of other links `text` is the most frequent.
K_URL, K_ALT, K_TITLE, K_WIDTH, K_HEIGHT, K_PATH, K_TEXT = (
    _word(name + '"') for name in ("url", "alt", "title", "width", "height", "path", "text")
)
W_DATA, W_DATA_END, W_IMAGE, W_LINKS, W_NULL = map(_word, ("data-ima", "ge-title", IMAGE, '"Links"', "null"))
FIRST_BYTES = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)
ONE = np.uint64(1)
LINKS_LENGTH = len('"Links"')


def text_fields(sources: list[str]) -> dict[str, int]:
    """The attributes that are texts, in their order, with their columns in the spans."""
    return {name: field for name, field in TEXTS.items() if name in sources}


def scanned(records: list[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The images of records: the bytes that spans are of, the place of each image's record, and its spans.

    And for each record how many images it has, or ``UNSURE``, and where the brackets of its links are.
    """
    joined = b"".join([*records, PADDING])
    data, ends = np.frombuffer(joined, np.uint8), np.cumsum([0, *map(len, records)])
    found = np.empty((len(records), 3), np.int64)
    spans = np.empty((len(joined) // SHORTEST_LINK + 1, FIELD * len(KEYS)), np.int32)
    images = scan_records(data, ends[1:], spans, found)
    spans, counts = spans[:images], found[:, 0]
    places = np.repeat(np.arange(len(records)), np.maximum(counts, 0))
    if not is_utf8(joined, ends):
        bad = [place for place, record in enumerate(records) if not is_utf8(record, np.array([0, len(record)]))]
        found[bad, 0] = UNSURE
        kept = ~np.isin(places, bad)
        places, spans = places[kept], spans[kept]
    return data, places, spans, found


@flat
def scan_records(data, ends, spans, found):
    """The images of records that lie one after the other in ``data``: fills ``spans`` and ``found``, a row a record.

    Returns the number of images. ``spans`` has a row more than images can be.
    """
    start, images = 0, 0
    for record in range(len(ends)):
        count, first, last = scan_record(data, start, ends[record], spans, images)
        found[record, 0], found[record, 1], found[record, 2] = count, first - start, last - start
        images += max(count, 0)
        start = ends[record]
    return images


@flat
def scan_record(data, at, size, spans, images):
    """How many images a record names, with their spans from a row on, and where the brackets of its links are."""
    first, last, found = -1, -1, 0
    while at < size:
        if data[at] != QUOTE:
            at += 1
            continue
        named = load_word(data, at) & FIRST_BYTES[LINKS_LENGTH] == W_LINKS
        end, _ = string_end(data, at + 1, size)
        if end < 0:
            return UNSURE, 0, 0
        at = end + 1
        if named:
            after = skip(data, at, size)
            if after < size and data[after] == COLON:
                after = skip(data, after + 1, size)
                if after < size and data[after] == OPEN_LIST:
                    if first >= 0:
                        return UNSURE, 0, 0
                    first = after
                    found, last = scan_array(data, after + 1, size, spans, images)
                    if found < 0:
                        return UNSURE, 0, 0
                    at = last + 1
    return (found, first, last) if first >= 0 else (UNSURE, 0, 0)


@flat
def scan_array(data, at, size, spans, images):
    """The images of an array of flat objects, and where it ends; ``UNSURE`` for anything else."""
    found = 0
    at = skip(data, at, size)
    if at < size and data[at] == CLOSE_LIST:
        return 0, at
    while at < size and data[at] == OPEN and images + found < len(spans):
        span = spans[images + found]
        at = scan_link(data, at + 1, size, span)
        if at < 0:
            return UNSURE, 0
        start, end = span[PATH], span[PATH + 1]
        if start >= 0 and end - start == len(IMAGE) and load_word(data, start) == W_IMAGE:
            found += 1
        elif start >= 0 and span[PATH + 2]:
            return UNSURE, 0
        after = behind(data, at, size, COMMA)
        if after < 0:
            at = skip(data, at, size)
            return (found, at) if at < size and data[at] == CLOSE_LIST else (UNSURE, 0)
        at = after
    return UNSURE, 0


@flat
def scan_link(data, at, size, span):
    """Fills the span of one object and gives the place after it; -1 where a value is none that is known."""
    for field in range(0, len(span), FIELD):
        span[field] = -1
    at = skip(data, at, size)
    if at < size and data[at] == CLOSE:
        return at + 1
    while at < size and data[at] == QUOTE:
        field, at = key(data, at + 1, size)
        if at < 0:
            return -1
        at = behind(data, at, size, COLON)
        if at < 0:
            return -1
        if data[at] == QUOTE:
            end, escapes = string_end(data, at + 1, size)
            if end < 0 or escapes & SURROGATE:
                return -1
            if field != OTHER:
                span[field], span[field + 1], span[field + 2] = at + 1, end, escapes
            at = end + 1
        elif field == OTHER or field >= WIDTH:
            return -1  # A number or the like where nobody expects one is for the parser.
        elif at + 4 <= size and load_word(data, at) & FIRST_BYTES[4] == W_NULL:
            span[field] = -1
            at += 4
        else:
            return -1
        after = behind(data, at, size, COMMA)
        if after < 0:
            at = skip(data, at, size)
            return at + 1 if at < size and data[at] == CLOSE else -1
        at = after
    return -1


@flat
def behind(data, at, size, sign):
    """Where what follows a sign begins, with white space around the sign; -1 where the sign is not there."""
    at = skip(data, at, size)
    if at >= size or data[at] != sign:
        return -1
    at = skip(data, at + 1, size)
    return at if at < size else -1


@flat
def key(data, at, size):
    """The column of a key's span, or ``OTHER``, and the place after its quote; -1 for one with escapes, or none."""
    word = load_word(data, at)
    short = word & FIRST_BYTES[4]
    if short == K_URL:
        return URL, at + 4
    if short == K_ALT:
        return ALT, at + 4
    short = word & FIRST_BYTES[5]
    if short == K_PATH:
        return PATH, at + 5
    if short == K_TEXT:
        return OTHER, at + 5
    short = word & FIRST_BYTES[6]
    if short == K_TITLE:
        return TITLE, at + 6
    if short == K_WIDTH:
        return WIDTH, at + 6
    if word & FIRST_BYTES[7] == K_HEIGHT:
        return HEIGHT, at + 7
    end, escapes = string_end(data, at, size)
    if end < 0 or escapes:
        return OTHER, -1
    title = end - at == 16 and word == W_DATA and load_word(data, at + 8) == W_DATA_END
    return DATA_TITLE if title else OTHER, end + 1


@flat
def string_end(data, at, size):
    """Where a string ends, -1 where it does not or is none of JSON; and whether ``ESCAPED`` or ``SURROGATE``."""
    escapes = 0
    while at < size:
        quotes = mask_equal(data, at, QUOTE)
        marks = quotes | mask_equal(data, at, BACKSLASH) | mask_below(data, at, 32)
        if marks == 0:
            at += MASKED
            continue
        first = lowest_bit(marks)
        at += first
        if at >= size:
            return -1, 0
        if quotes >> np.uint64(first) & ONE:
            return at, escapes
        if data[at] != BACKSLASH or at + 1 >= size:
            return -1, 0
        escapes |= ESCAPED
        at += 1
        sign = data[at]
        if sign == 117:  # u
            if at + 4 >= size:
                return -1, 0
            for place in range(at + 1, at + 5):
                digit = data[place] | 32
                if not (48 <= data[place] <= 57 or 97 <= digit <= 102):
                    return -1, 0
            # Half of a surrogate pair, or a whole one: the parser knows which.
            if data[at + 1] | 32 == 100 and data[at + 2] >= 56:  # d8 to df
                escapes |= SURROGATE
            at += 4
        elif not ESCAPES[sign]:
            return -1, 0
        at += 1
    return -1, 0


@flat
def skip(data, at, size):
    """The next place without white space."""
    while at < size and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at
