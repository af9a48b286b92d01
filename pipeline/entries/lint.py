"""Entries that can never match, and the form in which they could.

An entry is found in texts whose punctuation was wrapped in spaces and whose tabs and line ends became spaces
(``match.spacing``). So "Inc." is never there, and "Inc ." is; MetaCLIP's own list holds such entries.
"""

import re

from pipeline.match.spacing import PUNCTUATION, space_text

LONGEST = 1 << 20  # bytes, as ``input.max_text_bytes``
REASONS = {
    "punctuation": "punctuation that spacing splits",
    "white_space": "a tab or line end, which spacing makes a space",
    "edge_space": "a space at its beginning or end",
    "double_space": "two spaces side by side, where no punctuation is",
    "too_long": "longer than any text",
}
# A mark without a space beside it, or with one alone to the next mark: spacing leaves two between them.
_MARK = PUNCTUATION.pattern
_SPLIT = re.compile(rf"(?<! )(?<!^){_MARK}|{_MARK}(?! )(?!$)|{_MARK} {_MARK}")


def problem(entry: str) -> str | None:
    """Why an entry cannot match any text, or any that is written with care; a key of ``REASONS``, or None.

    Two spaces that stand beside punctuation are what spacing makes of "a, b" and are fine.
    """
    if len(entry.encode()) > LONGEST:
        return "too_long"
    if any(c in entry for c in "\t\n\r"):
        return "white_space"
    if _SPLIT.search(entry):
        return "punctuation"
    if entry != entry.strip(" "):
        return "edge_space"
    if re.search(r"(?<![,.;:?!`])  (?![,.;:?!`])", entry):
        return "double_space"
    return None


def repaired(entry: str) -> str:
    """The entry in the form that spacing makes of it, its other white space single and its edges free."""
    return space_text(" ".join(entry.split())).strip(" ")
