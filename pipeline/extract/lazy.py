"""The URLs of images in the rows of a scan, also of those that are loaded later, by the rules of ``page.py``.

Where these need more than is looked at here, as a srcset or a reference to a character, the page is for ``page.py``.
"""

from pipeline.compiled import flat
from pipeline.extract.placeholders import NO, UNKNOWN, YES, placeholder
from pipeline.extract.tags import CHOSEN, FIELD, HIDDEN, IMAGE_ATTRIBUTES, OF_PICTURE
from pipeline.extract.tokenizer import ESCAPED, VALUELESS

SRC, ALT, FIRST_LAZY, FIRST_SRCSET = (
    FIELD * IMAGE_ATTRIBUTES.index(name) for name in ("src", "alt", "data-src", "data-srcset")
)
# In the column HIDDEN: of an image in `<noscript>` that stands for its lazy neighbour.
TWIN = 2
SPACE, FIRST_OTHER = 32, 128


@flat
def choose_all(data, images, first, last):
    """Chooses the URLs of the images of a page, and marks twins; gives the number of images that need more."""
    odd = 0
    for image in range(first, last):
        odd += not choose(data, images[image])
    for image in range(first, last):
        if not odd and images[image, HIDDEN]:
            odd += not mark_twin(data, images, first, last, image)
    return odd


@flat
def choose(data, row):
    """Puts the span of its URL into an image's row; gives whether that is sure."""
    if row[SRC + 2] & VALUELESS and row[SRC] >= 0:
        row[SRC] = -1  # It has no value.
    chosen, alternatives = SRC, False
    for column in range(FIRST_LAZY, HIDDEN, FIELD):
        alternatives = alternatives or row[column] >= 0
    if alternatives or row[OF_PICTURE] >= 0:
        known = YES if row[SRC] < 0 else placeholder(data, row[SRC], row[SRC + 1])
        for column in range(FIRST_LAZY, FIRST_SRCSET, FIELD):
            if known == YES and chosen == SRC and row[column] >= 0:
                found = placeholder(data, row[column], row[column + 1])
                if found == NO:
                    chosen = column
                elif found == UNKNOWN:
                    known = UNKNOWN
        has_srcsets = row[FIRST_SRCSET] >= 0 or row[FIRST_SRCSET + FIELD] >= 0 or row[OF_PICTURE] >= 0
        if known == UNKNOWN or (known == YES and chosen == SRC and has_srcsets):
            return False
    for part in range(FIELD):
        row[CHOSEN + part] = row[chosen + part]
    return True


@flat
def mark_twin(data, images, first, last, image):
    """Marks an image of ``<noscript>`` that stands for the lazy image beside it; gives whether that is sure."""
    row = images[image]
    for beside in range(max(first, image - 1), min(last, image + 2)):
        lazy = images[beside]
        if lazy[HIDDEN] == 0 and lazy[CHOSEN] != lazy[SRC]:
            if row[ALT] < 0 or row[ALT] == row[ALT + 1] or is_same_span(data, row, lazy):
                row[HIDDEN] = TWIN
                return True
            if is_odd_text(data, row) or is_odd_text(data, lazy):
                return False
    return True


@flat
def is_same_span(data, one, other):
    """Whether the texts of two images are the same bytes."""
    length = one[ALT + 1] - one[ALT]
    same = other[ALT] >= 0 and other[ALT + 1] - other[ALT] == length
    for place in range(length):
        same = same and data[one[ALT] + place] == data[other[ALT] + place]
    return same


@flat
def is_odd_text(data, row):
    """Whether a text may be another once references are characters and spaces around it are gone."""
    if row[ALT] < 0 or row[ALT] == row[ALT + 1]:
        return False
    start, end = data[row[ALT]], data[row[ALT + 1] - 1]
    return row[ALT + 2] & ESCAPED or start <= SPACE or start >= FIRST_OTHER or end <= SPACE or end >= FIRST_OTHER
