"""The spacing of texts and the forms of entries: an entry matches where its form is a substring of the spaced text.

MetaCLIP 1 puts every entry between spaces (Xu et al. 2023, "Demystifying CLIP Data", section 3.2 and its algorithm);
MetaCLIP 2 leaves the space out on a side where the entry begins or ends with a character of a script that is written
without spaces, or with punctuation (Chuang et al. 2025, "Meta CLIP 2"). Case and Unicode form are never folded.
"""

import re
import string

PUNCTUATION = re.compile(r"[,.;:?!`]")
WHITE_SPACE = str.maketrans("\t\n\r", "   ")

# CJK radicals and ideographs, and the blocks of Thai, Lao, Tibetan, Burmese and Khmer. Kana and Hangul are spaced.
UNSPACED_SCRIPTS = (
    "\u2e80-\u2fdf\u2ff0-\u2fff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ebef"
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
KANA = "\u3040-\u30ff"
MARKS = re.escape(string.punctuation) + "，。、；：？！“”‘’（）【】《》〈〉「」『』～—"
UNSPACED = re.compile(f"[{UNSPACED_SCRIPTS}{MARKS}]")

FORMS = ("metaclip1", "metaclip2")


def space_text(text: str) -> str:
    """The text between spaces, its punctuation wrapped in spaces, tabs and line ends as spaces."""
    return " " + PUNCTUATION.sub(r" \g<0> ", text.translate(WHITE_SPACE)) + " "


def entry_form(entry: str, form: str) -> str:
    """What is looked for in a spaced text to find a (non-empty) entry, in the form ``metaclip1`` or ``metaclip2``."""
    if form == "metaclip1":
        return f" {entry} "
    before = "" if UNSPACED.match(entry[0]) else " "
    after = "" if UNSPACED.match(entry[-1]) else " "
    return before + entry + after
