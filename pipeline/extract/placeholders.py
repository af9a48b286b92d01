"""What stands in ``src`` until a script loads the image."""

import re

import numpy as np

from pipeline.compiled import flat
from pipeline.extract.tags import look_up, table
from pipeline.extract.tokenizer import AMPERSAND, LOWER, SLASH

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
DOT, FIRST_PRINTED, FIRST_OTHER = ord("."), 33, 128


@flat
def may_be_placeholder(data, at, end):
    """Whether the value of a ``src`` may be a placeholder: a few are said to be that are none."""
    if at == end or data[at] < FIRST_PRINTED or is_same(data, at, end, 0, 5) or is_same(data, at, end, 5, 10):
        return True
    first, second, start = np.uint64(0), np.uint64(0), at
    while at < end:
        sign, place = data[at], at - start
        if sign >= FIRST_OTHER:
            return True  # Some letters are those of ASCII in another case.
        if sign == AMPERSAND:
            for part in range(len(REFERENCE)):
                if at + part >= end or data[at + part] != REFERENCE[part]:
                    return True
        if sign == SLASH:
            first, second, start = np.uint64(0), np.uint64(0), at + 1
        elif sign == DOT and place <= LONGEST and look_up(KEYS, NAMED, first, second):
            return True
        elif place < 8:
            first |= LOWER[sign] << np.uint64(8 * place)
        elif place < 16:
            second |= LOWER[sign] << np.uint64(8 * place - 64)
        at += 1
    return False


@flat
def is_same(data, at, end, first, last):
    """Whether a value begins with a part of ``SCHEMES``, in any case."""
    same = at + last - first <= end
    for place in range(first, last):
        same = same and LOWER[data[at + place - first]] == SCHEMES[place]
    return same
