"""The codes by which the Hugging Face Hub and BCP 47 know the language of an entry list."""

import re
from collections.abc import Iterable

from pipeline.language.codes import OTHER, SHORTER, spelled

# Names of Wikipedias, replaced codes and fastText's labels that are none of BCP 47, or another language there.
TAGS = {
    "als": "gsw", "bat-smg": "sgs", "be-x-old": "be-tarask", "bh": "bho", "cbk-zam": "cbk", "eml": "egl",
    "fiu-vro": "vro", "in": "id", "iw": "he", "ji": "yi", "jw": "jv", "map-bms": "jv-x-bms", "mo": "ro",
    "nds-nl": "nds-NL", "nrm": "nrf", "roa-rup": "rup", "roa-tara": "nap-x-tara", "sh": "hbs", "simple": "en-simple",
    "zh-classical": "lzh", "zh-min-nan": "nan", "zh-yue": "yue",
}  # fmt: skip
NO_LANGUAGE = re.compile(r"und|mul|mis|zxx|q[a-t][a-z]")
TWO_LETTERS = set(SHORTER.values())
MULTILINGUAL = "multilingual"


def tag(name: str) -> str | None:
    """The BCP 47 tag of a list; None where its name is no language, as that of the list ``other``."""
    code = spelled(name)
    first, *rest = TAGS.get(code, code).split("-")
    first = SHORTER.get(first, first)
    if not (first in TWO_LETTERS or re.fullmatch("[a-z]{3}", first)) or NO_LANGUAGE.fullmatch(first):
        return None
    return "-".join([first, *map(_subtag, rest)])


def _subtag(part: str) -> str:
    """A subtag as it is usually written: a script ``Hant``, a region ``TW``, all else in lower case."""
    return part.capitalize() if re.fullmatch("[a-z]{4}", part) else part.upper() if len(part) == 2 else part


def hub_languages(lists: Iterable[str]) -> tuple[list[str], list[str]]:
    """The languages of entry lists: ISO 639 codes as the Hub takes them, and the tags that say more than these."""
    lists = list(lists)
    tags = {found for name in lists if (found := tag(name))}
    codes = sorted({found.split("-")[0] for found in tags})
    return codes + [MULTILINGUAL] * (OTHER in lists), sorted(found for found in tags if "-" in found)
