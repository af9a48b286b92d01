"""The tokenizer of HTML (13.2.5 of the WHATWG's standard) over the UTF-8 of a page, compiled.

All functions go over ``data`` from a place ``at`` and look at nothing beyond ``end`` but to load words, for which the
data are padded. A place beyond ``end`` says that the page ends before the token does.
"""

import numpy as np

from pipeline.compiled import MASKED, flat, lowest_bit, mask_equal
from pipeline.extract.tags import ATTRIBUTE_KEYS, ATTRIBUTES, COLUMNS, look_up

LESS, GREATER, SLASH, EQUALS, BANG, HYPHEN, QUESTION, AMPERSAND, RETURN, CLOSE_LIST = (
    ord(sign) for sign in "<>/=!-?&\r]"
)
DOUBLE, SINGLE = ord('"'), ord("'")
# What ends a name of a tag, a name of an attribute, an unquoted value; what is white space, and a letter; what ends the
# name of a file in a URL.
TAG_END, NAME_END, VALUE_END, SPACE, LETTER, FILE_END = 1, 2, 4, 8, 16, 32
SIGNS = np.zeros(256, np.uint8)
for _signs, _bits in (
    (b"\t\n\f\r ", TAG_END | NAME_END | VALUE_END | SPACE), (b"/", TAG_END | NAME_END), (b"=", NAME_END),
    (b">", TAG_END | NAME_END | VALUE_END), (bytes(sign for sign in range(128) if chr(sign).isalpha()), LETTER),
    (b"?#", FILE_END),
):  # fmt: skip
    SIGNS[list(_signs)] |= _bits
LOWER = np.arange(256, dtype=np.uint64)
LOWER[65:91] += 32
# Flags of a value: it has character references or carriage returns; there is no value.
ESCAPED, VALUELESS = 1, 2
NO_LIMIT = 1 << 62


@flat
def find(data, at, end, sign):
    """The next place of a byte; ``end`` or beyond where there is none."""
    while at < end:
        found = mask_equal(data, at, sign)
        if found:
            return at + lowest_bit(found)
        at += MASKED
    return at


@flat
def name(data, at, end, stop):
    """Where a name ends, and its first sixteen bytes in lower case as two words; a longer one is no name of a table."""
    first, second, start = np.uint64(0), np.uint64(0), at
    while at < end and not SIGNS[data[at]] & stop:
        place = at - start
        if place < 8:
            first |= LOWER[data[at]] << np.uint64(8 * place)
        elif place < 16:
            second |= LOWER[data[at]] << np.uint64(8 * place - 64)
        else:
            first = np.uint64(1)
        at += 1
    return at, first, second


@flat
def is_same_name(data, one, other, end):
    """Whether the names of two tags are the same; both end before ``end``."""
    while one < end and other < end:
        ends = SIGNS[data[one]] & TAG_END
        if ends or SIGNS[data[other]] & TAG_END:
            return ends == SIGNS[data[other]] & TAG_END
        if LOWER[data[one]] != LOWER[data[other]]:
            return False
        one += 1
        other += 1
    return False


@flat
def attributes(data, at, end, kind, row):
    """The place behind a tag, given the place behind its name, and whether it closes itself.

    The values of what is wanted of a kind of tag go to its ``row``; the first of attributes of one name counts.
    """
    wanted = COLUMNS[kind]
    while at < end:
        sign = data[at]
        if sign == GREATER:
            return at + 1, False
        if SIGNS[sign] & SPACE:
            at += 1
            continue
        if sign == SLASH:
            at += 1
            if at < end and data[at] == GREATER:
                return at + 1, True
            continue
        column = -1
        if kind:
            start = at
            at, first, second = name(data, at + (sign == EQUALS), end, NAME_END)
            if sign != EQUALS:
                column = wanted[look_up(ATTRIBUTE_KEYS, ATTRIBUTES, first, second)]
        else:
            at += 1
            while at < end and not SIGNS[data[at]] & NAME_END:
                at += 1
        while at < end and SIGNS[data[at]] & SPACE:
            at += 1
        start, stop, flags = at, at, VALUELESS
        if at < end and data[at] == EQUALS:
            at += 1
            while at < end and SIGNS[data[at]] & SPACE:
                at += 1
            if at >= end:
                break
            sign, start = data[at], at
            if sign in (DOUBLE, SINGLE):
                start, flags = at + 1, 0
                stop = find(data, start, end, sign)
                at = stop + 1
            else:
                while at < end and not SIGNS[data[at]] & VALUE_END:
                    at += 1
                stop = at
                flags = VALUELESS if stop == start else 0
        if column >= 0 and row[column] < 0 and at < end:
            row[column], row[column + 1], row[column + 2] = start, stop, flags | has_escapes(data, start, stop)
    return NO_LIMIT, False


@flat
def has_escapes(data, at, end):
    """``ESCAPED`` where a value has a character reference or a carriage return."""
    while at < end:
        if data[at] == AMPERSAND or data[at] == RETURN:
            return ESCAPED
        at += 1
    return 0


@flat
def comment_end(data, start, end):
    """The place behind a comment, given the place behind its ``<!--``."""
    at = start
    while at < end:
        at = find(data, at, end, GREATER)
        before = at - start
        if before == 0 or (data[at - 1] == HYPHEN and (before == 1 or data[at - 2] == HYPHEN)):
            return at + 1
        if before >= 3 and data[at - 1] == BANG and data[at - 2] == HYPHEN and data[at - 3] == HYPHEN:
            return at + 1
        at += 1
    return NO_LIMIT


@flat
def section_end(data, at, end):
    """The place behind a CDATA section."""
    start = at
    while at < end:
        at = find(data, at, end, GREATER)
        if at >= start + 2 and data[at - 1] == CLOSE_LIST and data[at - 2] == CLOSE_LIST:
            return at + 1
        at += 1
    return NO_LIMIT


@flat
def begins(data, at, end, word):
    """Whether the bytes of a constant are at a place."""
    same = at + len(word) <= end
    for place in range(len(word)):
        same = same and data[at + place] == word[place]
    return same


@flat
def raw_text_end(data, at, end, named):
    """The place of the ``</`` that ends raw text or escapable raw text of a tag, whose name is at ``named``."""
    while at < end:
        at = find(data, at, end, LESS)
        if at + 2 < end and data[at + 1] == SLASH and is_same_name(data, at + 2, named, end):
            return at
        at += 1
    return NO_LIMIT


@flat
def script_end(data, at, end, named):
    """The same for a script, which ``<!--`` and, within that, ``<script`` keep from its end."""
    escaped, after = 0, at
    while at < end:
        at = find_either(data, at, end, LESS, GREATER) if escaped else find(data, at, end, LESS)
        if at >= end:
            break
        if data[at] == GREATER:
            if at - 2 >= after and data[at - 1] == HYPHEN and data[at - 2] == HYPHEN:
                escaped = 0
        elif at + 1 >= end:
            break
        elif data[at + 1] == SLASH:
            if at + 2 < end and is_same_name(data, at + 2, named, end):
                if escaped < 2:
                    return at
                escaped = 1
        elif escaped == 1:
            if is_same_name(data, at + 1, named, end):
                escaped = 2
        elif (
            not escaped and at + 3 < end and data[at + 1] == BANG and data[at + 2] == HYPHEN and data[at + 3] == HYPHEN
        ):
            escaped, after = 1, at + 2
            at += 3
        at += 1
    return NO_LIMIT


@flat
def find_either(data, at, end, one, other):
    """The next place of one of two bytes; ``end`` or beyond where there is none."""
    while at < end:
        found = mask_equal(data, at, one) | mask_equal(data, at, other)
        if found:
            return at + lowest_bit(found)
        at += MASKED
    return at
