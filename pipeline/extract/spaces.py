"""Texts with one space between words: a compiled scan finds those that have other white space, which are few."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.compiled import flat, load_word
from pipeline.match.fast import text_buffers

# Separators and control characters of any script: they part words, so one space takes the place of each run.
SPACES = r"[\p{Z}\p{Cc}]+"
SPACE, DELETE = 32, 127
HIGHS, SPACE_WORD, DELETE_WORD, ABOVE_CONTROLS = (
    np.uint64(0x0101010101010101 * byte) for byte in (0x80, SPACE, DELETE, 0x80 - SPACE)
)
SEVEN, EIGHT, SIXTY_THREE = np.uint64(7), np.uint64(8), np.uint64(63)


@flat
def odd_rows(data, offsets, odd):
    """Which texts (UTF-8) have a space at an end, two together, or a separator or control character but a space."""
    for row in range(len(odd)):
        odd[row] = is_odd(data, offsets[row], offsets[row + 1])


@flat
def is_odd(data, at, end):
    """Whether one text is."""
    if at == end:
        return False
    after_space = np.uint64(1)
    while at < end:
        if at + 8 <= end:
            word = load_word(data, at)
            if word & HIGHS == 0:  # Bytes below 128: nothing is carried from one to the next.
                spaces = (HIGHS - (word ^ SPACE_WORD)) & HIGHS
                controls = ~(word + ABOVE_CONTROLS) | (HIGHS - (word ^ DELETE_WORD))
                if controls & HIGHS or spaces & (spaces << EIGHT | after_space << SEVEN):
                    return True
                after_space = spaces >> SIXTY_THREE
                at += 8
                continue
        sign = data[at]
        if sign == SPACE:
            if after_space:
                return True
            after_space = np.uint64(1)
        elif sign < SPACE or sign == DELETE or (sign >= 0xC2 and sign <= 0xE3 and is_separator(data, at, end)):
            return True
        else:
            after_space = np.uint64(0)
        at += 1
    return after_space != 0


@flat
def is_separator(data, at, end):
    """Whether a separator or control character of several bytes begins at a place."""
    lead, second = data[at], data[at + 1] if at + 1 < end else 0
    if lead == 0xC2:
        return second <= 0xA0  # U+0080 to U+00A0
    third = data[at + 2] if at + 2 < end else 0
    if lead == 0xE2:
        if second == 0x80:  # U+2000 to U+200A, U+2028, U+2029, U+202F
            return third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF
        return second == 0x81 and third == 0x9F  # U+205F
    if lead == 0xE1:
        return second == 0x9A and third == 0x80  # U+1680
    return lead == 0xE3 and second == 0x80 and third == 0x80  # U+3000


def one_spaced(texts: pa.Array) -> pa.Array:
    """Texts with single spaces between words and none around."""
    odd = np.empty(len(texts), bool)
    odd_rows(*text_buffers(texts), odd)
    if not odd.any():
        return texts
    odd = pa.array(odd)
    mended = pc.replace_substring_regex(texts.filter(odd), SPACES, " ")
    return pc.replace_with_mask(texts, odd, pc.utf8_trim(mended, " "))
