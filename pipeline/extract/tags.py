"""What the scan of pages knows of the names of tags and attributes, as tables that it looks them up in.

A tag has a kind, and bits that say where it may stand without making the scan unsure.
"""

import numpy as np

from pipeline.compiled import flat

# Kinds. Tags of `ORDINARY` neither are wanted nor change how other tags are read.
(ORDINARY, IMG, SOURCE, META, BASE, HTML, PICTURE, NOSCRIPT, HEAD, BODY, PARAGRAPH, BARRIER, SELECT, TABLE, TD, TH,
 CAPTION, TABLE_PART, FOREIGN, RAW, SCRIPT, TEMPLATE, DECLINED, BREAK) = range(24)  # fmt: skip
KIND = 31
# They stay in the head; they stay in a `<noscript>` there.
IN_HEAD, IN_HEAD_NOSCRIPT = 32, 64
# They may be in `<noscript>` of the body and `<picture>`: always; where no paragraph is open, which they would close.
IN_HELD, BLOCK = 128, 256
IN_SELECT, VOID = 512, 1024
# Within foreign elements: they may not be there; they may hold text alone.
BREAKOUT, TEXT_ONLY = 2048, 4096
# A row of a table, and a section of rows.
ROW, SECTION = 8192, 16384
# No `BLOCK` may be in them.
OF_TEXT = 32768

_KINDS = {
    IMG: "img image", SOURCE: "source", META: "meta", BASE: "base", HTML: "html", PICTURE: "picture",
    NOSCRIPT: "noscript", HEAD: "head", BODY: "body", PARAGRAPH: "p", BARRIER: "applet button marquee object",
    SELECT: "select", TABLE: "table", TD: "td", TH: "th", CAPTION: "caption",
    TABLE_PART: "col colgroup tbody tfoot thead tr", FOREIGN: "math svg",
    RAW: "iframe noembed noframes style textarea title xmp", SCRIPT: "script",
    TEMPLATE: "template", DECLINED: "frameset plaintext", BREAK: "br",
}  # fmt: skip
_BITS = {
    IN_HEAD: "base basefont bgsound head html link meta noframes noscript script style template title",
    IN_HEAD_NOSCRIPT: "basefont bgsound head html link meta noframes noscript style",
    IN_HELD: "a b big br code em embed font i iframe image img input link meta noscript picture s script small source "
    "span strike strong style tt u wbr",
    BLOCK: "article aside blockquote center div figcaption figure footer h1 h2 h3 h4 h5 h6 header main nav p section",
    OF_TEXT: "h1 h2 h3 h4 h5 h6 p",
    IN_SELECT: "hr optgroup option",
    VOID: "area base basefont bgsound br col embed frame hr image img input link meta param source track wbr",
    # `font` is one with some attributes; what is wanted would be found in foreign elements too.
    BREAKOUT: "b big blockquote body br center code dd div dl dt em embed font h1 h2 h3 h4 h5 h6 head hr i img li "
    "listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var "
    "base frameset html noscript picture plaintext source template",
    TEXT_ONLY: "annotation-xml desc foreignobject mi mn mo ms mtext title",
    ROW: "tr",
    SECTION: "tbody tfoot thead",
}  # fmt: skip

# The columns of what is wanted of a tag, by its kind: start, end and `flags` of each value.
FIELD = 3
IMAGE_ATTRIBUTES = ("src", "alt", "title", "data-image-title", "width", "height", "data-src", "data-original",
                    "data-lazy-src", "data-srcset", "srcset")  # fmt: skip
WANTED = {
    IMG: IMAGE_ATTRIBUTES,
    SOURCE: ("data-srcset", "srcset", "type"),
    META: ("name", "http-equiv", "property", "content"),
    BASE: ("href",),
    HTML: ("lang",),
}
# The columns of an image behind its attributes: whether it is in `<noscript>`, the number of its picture, the URL that
# is chosen; those of another element: its kind, and the number of its picture.
HIDDEN = FIELD * len(IMAGE_ATTRIBUTES)
OF_PICTURE, CHOSEN, IMAGE_ROW = HIDDEN + 1, HIDDEN + 2, HIDDEN + 2 + FIELD
OTHER = FIELD * max(len(names) for kind, names in WANTED.items() if kind != IMG)
OTHER_OF_PICTURE, OTHER_ROW = OTHER + 1, OTHER + 2
_SLOTS, _LONGEST = 512, 16
MIXER, SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - 9)
EIGHT = np.uint64(8)


def _words(name: str) -> tuple[int, int]:
    padded = name.encode().ljust(_LONGEST, b"\0")
    return int.from_bytes(padded[:8], "little"), int.from_bytes(padded[8:], "little")


def table(values: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """An open hash table: the two words of each name, and its value; 0 is of names that are not there."""
    keys, found = np.zeros((_SLOTS, 2), np.uint64), np.zeros(_SLOTS, np.int64)
    for name, value in values.items():
        first, second = _words(name)
        slot = ((first ^ second) * int(MIXER) % 2**64) >> int(SHIFT)
        while keys[slot, 0]:
            slot = (slot + 1) % _SLOTS
        keys[slot], found[slot] = (first, second), value
    return keys, found


_tags: dict[str, int] = {}
for _values in (_KINDS, _BITS):
    for _value, _names in _values.items():
        for _name in _names.split():
            _tags[_name] = _tags.get(_name, 0) | _value
TAG_KEYS, TAGS = table(_tags)
_attributes = sorted({name for names in WANTED.values() for name in names})
ATTRIBUTE_KEYS, ATTRIBUTES = table({name: number for number, name in enumerate(_attributes, 1)})
# By kind and number of an attribute; -1 for one that is not wanted.
COLUMNS = np.full((KIND + 1, len(_attributes) + 1), -1, np.int64)
for _kind, _wanted in WANTED.items():
    for _place, _name in enumerate(_wanted):
        COLUMNS[_kind, _attributes.index(_name) + 1] = _place * FIELD


@flat
def look_up(keys, values, first, second):
    """The value of a name, given as two words; 0 for one that is not in the table."""
    slot = ((first ^ second) * MIXER) >> SHIFT
    while keys[slot, 0]:
        if keys[slot, 0] == first and keys[slot, 1] == second:
            return values[slot]
        slot = (slot + np.uint64(1)) & np.uint64(_SLOTS - 1)
    return 0
