"""Plain URLs, by a compiled scan: absolute ones, and relative ones behind a plain base, which need no parser.

Plain is what the WHATWG's URL standard leaves as it is: a host in lower case that is no IP address and has no Punycode,
a path whose segments begin with no dot (``%2e`` is one), and of signs that are not encoded.
"""

import string

import numpy as np
import pyarrow as pa

from pipeline.compiled import copy_bytes, flat
from pipeline.match.fast import text_buffers

ALNUM = string.ascii_letters + string.digits


def _signs(signs: str) -> np.ndarray:
    return np.isin(np.arange(256), [ord(sign) for sign in signs])


LOWER, LETTER = _signs(string.ascii_lowercase + string.digits), _signs(string.ascii_lowercase)
# The first sign of a segment of a path, any other, and those of a query.
FIRST, SIGN = _signs(ALNUM + "_~!$&'()*+,;=:@-"), _signs(ALNUM + "._~!$&'()*+,;=:@%-")
QUERY = _signs(ALNUM + "._~!$&()*+,;=:@/?%[]|-")
HYPHEN, DOT, SLASH, COLON, QUESTION = (ord(sign) for sign in "-./:?")
H, T, P, S = (ord(sign) for sign in "htps")
# How much of its base stands before a link: nothing, or the columns of ``base_parts``. ODD is for the parser.
ODD, WHOLE, SCHEME, ORIGIN, FOLDER = -1, 0, 1, 2, 3


@flat
def host_end(data, at, end):
    """Where a plain host ends; -1 for none. It has a dot, and its last label begins with a letter."""
    label, dots = at, 0
    while at < end:
        sign = data[at]
        if LOWER[sign]:
            at += 1
        elif sign == HYPHEN:
            if at == label or at + 1 >= end or not LOWER[data[at + 1]]:
                return -1
            at += 1
        elif sign == DOT:
            if at == label:
                return -1
            dots += 1
            at += 1
            label = at
        else:
            break
    return at if dots > 0 and at > label and LETTER[data[label]] else -1


@flat
def path_end(data, at, end):
    """Where a plain path ends that begins with the slash at a place, and its last folder; -1 for none."""
    folder = at
    while at < end and data[at] == SLASH:
        at += 1
        folder = at
        if at == end or data[at] == QUESTION:
            break
        if not FIRST[data[at]]:
            return -1, folder
        while at < end and SIGN[data[at]]:
            at += 1
    return at, folder


@flat
def is_query(data, at, end):
    """Whether nothing follows, or a plain query to the end."""
    if at < end and data[at] != QUESTION:
        return False
    for place in range(at, end):  # noqa: SIM110, compiled
        if not QUERY[data[place]]:
            return False
    return True


@flat
def scheme_end(data, at, end):
    """Where ``http:`` or ``https:`` with two slashes behind it ends, without these; -1 for others."""
    if end - at < 8 or data[at] != H or data[at + 1] != T or data[at + 2] != T or data[at + 3] != P:
        return -1
    at += 5 if data[at + 4] == S else 4
    return at + 1 if data[at] == COLON and data[at + 1] == SLASH and data[at + 2] == SLASH else -1


@flat
def kind_of(data, at, end):
    """How much of its base a plain link needs; ``ODD`` for one that is not plain."""
    if at == end:
        return ODD
    if data[at] == SLASH:
        if at + 1 == end or data[at + 1] != SLASH:
            kind = ORIGIN
        else:
            kind, at = SCHEME, host_end(data, at + 2, end)
    else:
        place = scheme_end(data, at, end)
        if place >= 0:
            kind, at = WHOLE, host_end(data, place + 2, end)
        else:
            if data[at] == COLON or not FIRST[data[at]]:
                return ODD
            kind = FOLDER
            while at < end and SIGN[data[at]] and data[at] != COLON:
                at += 1
    if at < 0 or (kind != FOLDER and (at == end or data[at] != SLASH)):
        return ODD
    at, _ = path_end(data, at, end)
    return kind if at >= 0 and is_query(data, at, end) else ODD


@flat
def base_parts(data, offsets, parts):
    """Of each plain base where scheme, origin and last folder end, this negative where it lacks its slash; else 0."""
    for row in range(len(parts)):
        start, end = offsets[row], offsets[row + 1]
        parts[row] = 0
        scheme = scheme_end(data, start, end)
        origin = host_end(data, scheme + 2, end) if scheme >= 0 else -1
        if origin < 0:
            continue
        at, folder = path_end(data, origin, end)
        if at >= 0 and is_query(data, at, end):
            parts[row, SCHEME], parts[row, ORIGIN] = scheme - start, origin - start
            parts[row, FOLDER] = folder - start if folder > origin else origin - start
            parts[row, WHOLE] = folder == origin


@flat
def measure(data, offsets, valid, pages, parts, kinds, ends):
    """The kinds of links, and where their URLs end behind each other; those that are odd are empty."""
    total = 0
    for row in range(len(kinds)):
        kind = kind_of(data, offsets[row], offsets[row + 1]) if valid[row] else ODD
        if kind > WHOLE and parts[pages[row], SCHEME] == 0:
            kind = ODD
        kinds[row] = kind
        if kind != ODD:
            total += offsets[row + 1] - offsets[row]
            if kind > WHOLE:
                total += parts[pages[row], kind] + (kind == FOLDER and parts[pages[row], WHOLE])
        ends[row + 1] = total


@flat
def join(data, offsets, bases, base_offsets, pages, parts, kinds, ends, out):
    """Writes the URLs behind each other."""
    for row in range(len(kinds)):
        kind, at = kinds[row], ends[row]
        if kind == ODD:
            continue
        if kind > WHOLE:
            start = base_offsets[pages[row]]
            at = copy_bytes(bases, start, start + parts[pages[row], kind], out, at)
            if kind == FOLDER and parts[pages[row], WHOLE]:
                out[at] = SLASH
                at += 1
        copy_bytes(data, offsets[row], offsets[row + 1], out, at)


def plain_urls(sources: pa.Array, bases: pa.DictionaryArray) -> tuple[pa.Array, np.ndarray]:
    """The URLs of links that are plain, null of the others; and their kinds."""
    data, offsets = text_buffers(sources)
    of_bases, base_offsets = text_buffers(bases.dictionary)
    pages = bases.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    parts = np.empty((len(bases.dictionary), 4), np.int32)
    base_parts(of_bases, base_offsets, parts)
    valid = sources.is_valid().to_numpy(zero_copy_only=False)
    kinds, ends = np.empty(len(sources), np.int8), np.zeros(len(sources) + 1, np.int32)
    measure(data, offsets, valid, pages, parts, kinds, ends)
    out = np.empty(int(ends[-1]), np.uint8)
    join(data, offsets, of_bases, base_offsets, pages, parts, kinds, ends, out)
    there = pa.py_buffer(np.packbits(kinds != ODD, bitorder="little"))
    return pa.StringArray.from_buffers(len(sources), pa.py_buffer(ends), pa.py_buffer(out), there), kinds
