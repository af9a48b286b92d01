"""Which tags of a page become elements, by the tree construction of HTML (13.2.6 of the WHATWG's standard).

No tree is built: what is held (``state``) decides whether an image is in ``<noscript>`` or a child of ``<picture>``,
and whether elements come in the order of their tags. A tag after which that is not sure is ``UNSURE``.
"""

from pipeline.compiled import flat
from pipeline.extract.tags import (
    BARRIER,
    BASE,
    BLOCK,
    BODY,
    BREAK,
    BREAKOUT,
    CAPTION,
    DECLINED,
    FOREIGN,
    HEAD,
    HTML,
    IMG,
    IN_HEAD,
    IN_HEAD_NOSCRIPT,
    IN_HELD,
    IN_SELECT,
    KIND,
    META,
    NOSCRIPT,
    OF_TEXT,
    PARAGRAPH,
    PICTURE,
    RAW,
    ROW,
    SCRIPT,
    SECTION,
    SELECT,
    TABLE,
    TABLE_PART,
    TD,
    TEMPLATE,
    TEXT_ONLY,
    TH,
    VOID,
)  # fmt: skip
from pipeline.extract.tokenizer import is_same_name

# Or sure that it is no element of the page, but of a template.
UNSURE, SURE, IGNORED = -1, 0, 1
# Open elements that are held, tables in tables, children of a picture: more are for the parser.
MOST_OPEN, MOST_TABLES, MOST_CHILDREN = 64, 30, 100
# The insertion mode. Tables that are open, and two bits for each: 0 between cells, 1 and 2 in td and th, 3 in a
# caption. Whether a select is open. How many foreign elements are held, or others from `<noscript>` or `<picture>` on;
# how many of these are `<noscript>`; how many there were when a paragraph began among them. The number of pictures,
# how many are open, and the children of the last. Paragraphs that may be open outside. Templates that are open. Whether
# there was a `<base href>`, and an `<html lang>`.
(MODE, TABLES, CELLS, SELECTS, FOREIGNS, HELD, NOSCRIPTS, INNER, PICTURES, OPEN_PICTURES, CHILDREN, PARAGRAPHS,
 TEMPLATES, HAS_BASE, HAS_ROOT) = range(15)  # fmt: skip
STATES = 15
# Insertion modes; all before that of the head are as it.
IN_THE_HEAD, IN_THE_HEADS_NOSCRIPT, AFTER_HEAD, IN_BODY = range(4)
# So many paragraphs are open where a barrier may hide one from its `</p>`.
MANY = 1 << 40


@flat
def begin(state):
    """The state at the beginning of a page."""
    for place in range(STATES):
        state[place] = 0


@flat
def start_tag(state, held, data, named, end, bits, closed):
    """Takes a start tag in: ``UNSURE`` or ``SURE``. ``named``: its name's place; ``closed``: it closes itself."""
    kind = bits & KIND
    if state[FOREIGNS]:
        last = held[state[FOREIGNS] - 1]
        if bits & BREAKOUT or last < 0 or state[FOREIGNS] == MOST_OPEN:
            return UNSURE
        if not closed:
            held[state[FOREIGNS]] = -named if bits & TEXT_ONLY else named
            state[FOREIGNS] += 1
        return SURE
    if kind == DECLINED:
        return UNSURE
    if state[TEMPLATES]:
        state[TEMPLATES] += kind == TEMPLATE
        # After `<col>` even a script is left out, so that its text is tags.
        is_column = kind == TABLE_PART and bits & VOID
        return UNSURE if is_column or kind in (FOREIGN, SELECT) else IGNORED
    if state[MODE] != IN_BODY:
        if state[MODE] == IN_THE_HEADS_NOSCRIPT:
            if bits & IN_HEAD_NOSCRIPT:
                return SURE
            state[MODE] = IN_THE_HEAD
        if state[MODE] == IN_THE_HEAD and kind == NOSCRIPT:
            state[MODE] = IN_THE_HEADS_NOSCRIPT
            return SURE
        if bits & IN_HEAD and kind != NOSCRIPT:
            state[TEMPLATES] += kind == TEMPLATE
            return SURE
        state[MODE] = IN_BODY
    if state[HELD]:
        return start_in_held(state, held, named, bits)
    if state[SELECTS]:
        return SURE if bits & IN_SELECT else UNSURE
    if state[TABLES]:
        shift = 2 * (state[TABLES] - 1)
        if kind in (TD, TH, CAPTION, TABLE_PART):
            cell = 1 if kind == TD else 2 if kind == TH else 3 if kind == CAPTION else 0
            state[CELLS] = state[CELLS] & ~(3 << shift) | cell << shift
        elif not state[CELLS] >> shift & 3 and (
            kind in (IMG, META, BASE, PICTURE, NOSCRIPT, SELECT, TABLE, FOREIGN)
        ):  # fmt: skip
            return UNSURE  # It comes before the table.
    if kind == PARAGRAPH:
        state[PARAGRAPHS] += 1
    elif kind == TABLE:
        if state[TABLES] == MOST_TABLES:
            return UNSURE
        state[CELLS] &= ~(3 << 2 * state[TABLES])
        state[TABLES] += 1
    elif kind == FOREIGN:
        if not closed:
            held[0] = named
            state[FOREIGNS] = 1
    elif kind == SELECT:
        state[SELECTS] = 1
    elif kind == TEMPLATE:
        state[TEMPLATES] = 1
    elif kind in (NOSCRIPT, PICTURE):
        hold(state, held, named, kind)
    if state[PARAGRAPHS] and (kind in (BARRIER, TABLE, TD, TH, CAPTION)):
        state[PARAGRAPHS] = MANY
    return SURE


@flat
def start_in_held(state, held, named, bits):
    """Takes in a start tag within ``<noscript>`` or ``<picture>``, whose end is sure where all within have one."""
    kind = bits & KIND
    if is_in_picture(state, held):
        state[CHILDREN] += 1
        if state[CHILDREN] > MOST_CHILDREN:
            return UNSURE
    if bits & BLOCK:
        if state[PARAGRAPHS] or state[INNER]:
            return UNSURE
    elif not bits & IN_HELD or (kind == PICTURE and state[OPEN_PICTURES]):
        return UNSURE
    if not bits & VOID and kind != RAW and kind != SCRIPT:
        if state[HELD] == MOST_OPEN:
            return UNSURE
        hold(state, held, named, kind)
        if bits & OF_TEXT:
            state[INNER] = state[HELD]
    return SURE


@flat
def is_in_picture(state, held):
    """Whether the next element is a child of ``<picture>``, whose name's place is held as a negative number."""
    return state[HELD] > 0 and held[state[HELD] - 1] < 0


@flat
def hold(state, held, named, kind):
    """Holds an element until its end."""
    held[state[HELD]] = -named if kind == PICTURE else named
    state[HELD] += 1
    if kind == NOSCRIPT:
        state[NOSCRIPTS] += 1
    elif kind == PICTURE:
        state[PICTURES] += 1
        state[OPEN_PICTURES] += 1
        state[CHILDREN] = 0


@flat
def end_tag(state, held, data, named, end, bits):
    """Takes an end tag in: ``UNSURE`` or ``SURE``."""
    kind = bits & KIND
    if state[FOREIGNS]:
        while state[FOREIGNS]:
            state[FOREIGNS] -= 1
            if is_same_name(data, named, abs(held[state[FOREIGNS]]), end):
                return SURE
        return UNSURE
    if state[TEMPLATES]:
        state[TEMPLATES] -= kind == TEMPLATE
        return SURE
    if state[MODE] != IN_BODY:
        if state[MODE] == IN_THE_HEADS_NOSCRIPT:
            if kind == NOSCRIPT:
                state[MODE] = IN_THE_HEAD
            elif kind == BREAK:
                state[MODE] = IN_BODY
        elif kind in (BODY, HTML, BREAK):
            state[MODE] = IN_BODY
        elif kind == HEAD:
            state[MODE] = AFTER_HEAD
        return SURE
    if state[HELD]:
        if bits & VOID and kind != BREAK:
            return SURE
        if not is_same_name(data, named, abs(held[state[HELD] - 1]), end):
            return UNSURE
        state[HELD] -= 1
        state[NOSCRIPTS] -= kind == NOSCRIPT
        state[OPEN_PICTURES] -= kind == PICTURE
        if state[HELD] < state[INNER]:
            state[INNER] = 0
        return SURE
    if state[SELECTS]:
        if kind == SELECT:
            state[SELECTS] = 0
            return SURE
        return SURE if bits & IN_SELECT else UNSURE
    if kind == PARAGRAPH:
        if 0 < state[PARAGRAPHS] < MANY:
            state[PARAGRAPHS] -= 1
    elif state[TABLES]:
        return end_in_table(state, bits)
    return SURE


@flat
def end_in_table(state, bits):
    """Takes in an end tag where a table is open."""
    kind, shift = bits & KIND, 2 * (state[TABLES] - 1)
    cell = state[CELLS] >> shift & 3
    if kind == TABLE:
        state[TABLES] -= 1
    elif kind == TABLE_PART:
        if cell == 1 or cell == 2:
            if bits & SECTION:
                return UNSURE  # The cell ends where its section is of this name.
            if bits & ROW:
                state[CELLS] &= ~(3 << shift)
    elif (kind == TD and cell == 1) or (kind == TH and cell == 2) or (kind == CAPTION and cell == 3):
        state[CELLS] &= ~(3 << shift)
    return SURE
