"""The elements of pages that decide what their images are, by a compiled scan.

``scan_pages`` goes over each page once: tags by ``tokenizer.py``, elements by ``construction.py``. It takes nothing
that it is not sure of: such a page is for the parser.
"""

import numpy as np

from pipeline.compiled import flat
from pipeline.extract.construction import (
    CHILDREN,
    FOREIGNS,
    HAS_BASE,
    HAS_ROOT,
    IGNORED,
    IN_BODY,
    MODE,
    NOSCRIPTS,
    PICTURES,
    TEMPLATES,
    UNSURE,
    begin,
    end_tag,
    is_in_picture,
    start_tag,
)  # fmt: skip
from pipeline.extract.lazy import choose_all
from pipeline.extract.tags import (
    FIELD,
    HIDDEN,
    HTML,
    IMG,
    KIND,
    META,
    OF_PICTURE,
    OTHER,
    OTHER_OF_PICTURE,
    RAW,
    SCRIPT,
    SOURCE,
    TAG_KEYS,
    TAGS,
    look_up,
)  # fmt: skip
from pipeline.extract.tokenizer import (
    AMPERSAND,
    BANG,
    GREATER,
    LESS,
    LETTER,
    LOWER,
    QUESTION,
    SIGNS,
    SLASH,
    SPACE,
    TAG_END,
    VALUELESS,
    attributes,
    begins,
    comment_end,
    find,
    name,
    raw_text_end,
    script_end,
    section_end,
)  # fmt: skip

# An image has at least so many bytes, and another element that is wanted.
SHORTEST = len("<img>")
COMMENT, SECTION = np.frombuffer(b"--", np.uint8), np.frombuffer(b"[CDATA[", np.uint8)
# What meta elements that are wanted are named, or begin with; those of Open Graph are wanted where it is.
_WANTED, _GRAPH = ("robots", "tdm-rese", "content-language"), ("og:image", "og:title", "twitter:")
WANTED_METAS = np.array([int.from_bytes(name[:8].encode(), "little") for name in (*_WANTED, *_GRAPH)], np.uint64)
META_LENGTHS = np.array([min(8, len(name)) for name in (*_WANTED, *_GRAPH)])
ALWAYS = len(_WANTED)
# `content-type` is in most pages.
CONTENT, TYPE = WANTED_METAS[2], ord("t")


@flat
def scan_pages(data, ends, graph, images, others, found, state, held):
    """The elements of pages that lie one after the other in ``data``: fills rows of images and of others.

    ``found``, a row a page, is how many images, or ``UNSURE``, and how many others it has, and how many of its images
    need more than the scan for their URL. ``graph``: whether meta elements of Open Graph are wanted. Returns the
    number of rows.
    """
    start, image, other = 0, 0, 0
    for page in range(len(ends)):
        image_end, other_end = scan_page(data, start, ends[page], graph, images, image, others, other, state, held)
        found[page, 0], found[page, 1], found[page, 2] = UNSURE, 0, 0
        if image_end >= 0:
            found[page, 2] = choose_all(data, images, image, image_end)
            if not found[page, 2]:
                other_end = without_sources(others, other, other_end)
            found[page, 0], found[page, 1] = image_end - image, other_end - other
            image, other = image_end, other_end
        start = ends[page]
    return image, other


@flat
def scan_page(data, at, end, graph, images, image, others, other, state, held):
    """The same of one page, with rows from two places on; gives the places behind them, or ``UNSURE``."""
    begin(state)
    while at < end:
        text = at
        at = find(data, at, end, LESS)
        if state[MODE] != IN_BODY and not state[TEMPLATES]:
            while text < at and text < end and SIGNS[data[text]] & SPACE:
                text += 1
            if text < at and text < end:
                if data[text] == AMPERSAND:
                    return UNSURE, 0
                state[MODE] = IN_BODY
        if at + 2 >= end:
            break
        sign = data[at + 1]
        is_end = sign == SLASH
        if not SIGNS[data[at + 1 + is_end]] & LETTER:
            if sign in (BANG, QUESTION) or is_end:
                at = markup_end(data, at, end, state[FOREIGNS])
                state[CHILDREN] += 1
            else:
                if not state[TEMPLATES]:
                    state[MODE] = IN_BODY
                at += 1
            continue
        named = at + 1 + is_end
        at, first, second = name(data, named, end, TAG_END)
        bits = look_up(TAG_KEYS, TAGS, first, second)
        kind = bits & KIND
        wanted = kind if kind <= HTML and not is_end else 0
        row = images[image] if wanted == IMG else others[other]
        if wanted:
            for column in range(len(row)):
                row[column] = -1
        at, closed = attributes(data, at, end, wanted, row)
        if at > end:
            break
        if is_end:
            if end_tag(state, held, data, named, end, bits) == UNSURE:
                return UNSURE, 0
            continue
        was_foreign = state[FOREIGNS]
        element = start_tag(state, held, data, named, end, bits, closed)
        if element == UNSURE:
            return UNSURE, 0
        if was_foreign:
            continue
        if element == IGNORED:
            wanted = 0
        if wanted == IMG:
            row[HIDDEN] = state[NOSCRIPTS] > 0
            row[OF_PICTURE] = state[PICTURES] if is_in_picture(state, held) else -1
            image += 1
        elif wanted == SOURCE:
            if is_in_picture(state, held):
                row[OTHER], row[OTHER_OF_PICTURE] = kind, state[PICTURES]
                other += 1
        elif wanted == META:
            if is_wanted_meta(data, row, graph):
                row[OTHER] = kind
                other += 1
        elif wanted:
            # The first `<base href>` counts, and the first `lang` of `<html>`: later tags give it what it has not.
            has_value = row[0] >= 0 and (wanted == HTML or not row[2] & VALUELESS)
            if has_value and not state[HAS_ROOT if wanted == HTML else HAS_BASE]:
                state[HAS_ROOT if wanted == HTML else HAS_BASE] = 1
                row[OTHER] = kind
                other += 1
        elif kind == SCRIPT:
            at = script_end(data, at, end, named)
        elif kind == RAW:
            at = raw_text_end(data, at, end, named)
    return image, other


@flat
def without_sources(others, first, last):
    """Leaves out the rows of ``<source>``, which are for images that need more; gives the place behind the others."""
    kept = first
    for row in range(first, last):
        if others[row, OTHER] != SOURCE:
            for column in range(len(others[row])):
                others[kept, column] = others[row, column]
            kept += 1
    return kept


@flat
def markup_end(data, at, end, foreign):
    """The place behind a comment, or what is read as one, a document type, or a CDATA section of a foreign element."""
    if data[at + 1] == BANG:
        if begins(data, at + 2, end, COMMENT):
            return comment_end(data, at + 4, end)
        if foreign and begins(data, at + 2, end, SECTION):
            return section_end(data, at + 9, end)
    return find(data, at + 2, end, GREATER) + 1


@flat
def is_wanted_meta(data, row, graph):
    """Whether a meta element may be wanted, by the names that it has."""
    for column in range(0, 3 * FIELD, FIELD):
        at, end = row[column], row[column + 1]
        if at >= 0:
            while at < end and data[at] <= 32:
                at += 1
            word = np.uint64(0)
            for place in range(min(8, end - at)):
                if data[at + place] >= 128 or data[at + place] == AMPERSAND:
                    return True
                word |= LOWER[data[at + place]] << np.uint64(8 * place)
            for place in range(len(WANTED_METAS) if graph else ALWAYS):
                mask = ~np.uint64(0) >> np.uint64(64 - 8 * META_LENGTHS[place])
                if word & mask == WANTED_METAS[place]:
                    return word != CONTENT or LOWER[data[at + 8]] != TYPE
    return False
