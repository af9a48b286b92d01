"""What stands in ``src`` until a script loads the image."""

import re

import numpy as np

from pipeline.compiled import flat
from pipeline.extract.tags import look_up, table
from pipeline.extract.tokenizer import AMPERSAND, FILE_END, LOWER, SLASH, name

# Names of files, whatever their folder.
_NAMES = (
    "1x1", "1px", "pixel", "spacer", "blank", "clear", "transparent", "placeholder", "loading", "loader", "lazy",
    "lazyload", "empty", "dummy", "gray", "grey", "white", "none",
)  # fmt: skip
PLACEHOLDER = re.compile(
    rf"^\s*+(?:$|data:|about:blank|(?:.*/)?(?:{'|'.join(_NAMES)})\.(?:gif|png|svg|jpe?g|webp)(?:[?#].*)?$)",
    re.IGNORECASE | re.DOTALL,
)
KEYS, NAMED = table(dict.fromkeys(_NAMES, 1))
LONGEST = max(map(len, _NAMES))
SCHEMES = np.frombuffer(b"data:about", np.uint8)
REFERENCE = np.frombuffer(b"&amp;", np.uint8)
ENDINGS, IS_ENDING = table(dict.fromkeys(("gif", "png", "svg", "jpg", "jpeg", "webp"), 1))
DOT, FIRST_PRINTED, FIRST_OTHER = ord("."), 33, 128
NO, YES, UNKNOWN = range(3)


@flat
def placeholder(data, at, end):
    """Whether the value of an attribute is a placeholder, ``YES`` or ``NO``; or ``UNKNOWN``, for ``PLACEHOLDER``."""
    if at == end or is_same(data, at, end, 0, 5):
        return YES
    if data[at] < FIRST_PRINTED or is_same(data, at, end, 5, len(SCHEMES)):
        return UNKNOWN
    first, second, start = np.uint64(0), np.uint64(0), at
    while at < end:
        sign, place = data[at], at - start
        if sign >= FIRST_OTHER:
            return UNKNOWN  # Some letters are those of ASCII in another case.
        if sign == AMPERSAND:
            for part in range(len(REFERENCE)):
                if at + part >= end or data[at + part] != REFERENCE[part]:
                    return UNKNOWN
        if sign == SLASH:
            first, second, start = np.uint64(0), np.uint64(0), at + 1
        elif sign == DOT and place <= LONGEST and look_up(KEYS, NAMED, first, second):
            _, ending, more = name(data, at + 1, end, FILE_END)
            return YES if look_up(ENDINGS, IS_ENDING, ending, more) else UNKNOWN
        elif place < 8:
            first |= LOWER[sign] << np.uint64(8 * place)
        elif place < 16:
            second |= LOWER[sign] << np.uint64(8 * place - 64)
        at += 1
    return NO


@flat
def is_same(data, at, end, first, last):
    """Whether a value begins with a part of ``SCHEMES``, in any case."""
    same = at + last - first <= end
    for place in range(first, last):
        same = same and LOWER[data[at + place - first]] == SCHEMES[place]
    return same
