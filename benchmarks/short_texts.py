"""Short texts whose language is known, from what packages and files hold; texts of several languages are left out.

CLDR names (package ``babel``): countries, languages, scripts, currencies, and units with a number. Names of emoji
(package ``emoji``). What a program says to people (package ``django``, if it is there). Files of texts: captions, and
titles of Wikipedia dumps.
"""

import bz2
import codecs
import gettext
import importlib.util
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import emoji
from babel import Locale
from emoji.unicode_codes import load_from_json

from benchmarks.compare import read_texts

LANGUAGES = [
    code
    for line in (
        "ar bg bn ca cs da de el en es et eu fa fi fr gl he hi hr hu hy id is it ja ka kk ko lt lv mk ml mr nl pl pt",
        "ro ru sk sl sq sr sv sw ta te th tr uk ur vi zh",
    )
    for code in line.split()
]
EMOJI = ("ar", "de", "en", "es", "fa", "fr", "id", "it", "ja", "ko", "pt", "ru", "tr", "zh")
DJANGO = {"zh": "zh_Hans"}
TITLE = re.compile(r"<title>([^<:]+)</title>")
PLACEHOLDER = re.compile(r"%\(|%[sd]|[{}<>]")
SEED = 0


class Labelled(NamedTuple):
    """A text, its language and where it is from."""

    text: str
    language: str
    source: str


def labelled(each: int, files: Iterable[tuple[str, Path]] = ()) -> list[Labelled]:
    """At most ``each`` texts of a language and a source; ``files``: further texts by language."""
    found: dict[tuple[str, str], list[str]] = {}
    for language in LANGUAGES:
        found[language, "CLDR"] = list(cldr(language))
        found[language, "messages"] = list(messages(language))
    for language in EMOJI:
        found[language, "emoji"] = list(emoji_names(language))
    for language, file in files:
        source = "titles" if file.suffix == ".bz2" else "captions"
        found.setdefault((language, source), []).extend(titles(file) if source == "titles" else read_texts(file))
    languages = defaultdict(set)
    for (language, _), texts in found.items():
        for text in texts:
            languages[text.casefold()].add(language)
    drawn = random.Random(SEED)
    chosen = []
    for (language, source), texts in sorted(found.items()):
        own = sorted({text for text in texts if len(text) > 1 and len(languages[text.casefold()]) == 1})
        chosen += [Labelled(text, language, source) for text in drawn.sample(own, min(each, len(own)))]
    return chosen


def cldr(language: str) -> Iterator[str]:
    """Names in CLDR, and units with a number."""
    locale = Locale.parse(language)
    for names in (locale.territories, locale.languages, locale.scripts, locale.currencies):
        yield from names.values()
    for number, forms in enumerate(locale._data["unit_patterns"].values(), 2):
        for pattern in forms.get("long", {}).values():
            if isinstance(pattern, str) and "{0}" in pattern:
                yield pattern.replace("{0}", str(number))


def emoji_names(language: str) -> Iterator[str]:
    """Names of emoji, as a person would write them."""
    if language != "en":
        load_from_json(language)
    for names in emoji.EMOJI_DATA.values():
        if language in names:
            yield names[language].strip(":").replace("_", " ").replace("-", " ")


def messages(language: str) -> Iterator[str]:
    """What Django says to people, without what is filled in."""
    package = importlib.util.find_spec("django")
    if package is None:
        return
    for file in Path(package.origin).parent.glob(f"**/locale/{DJANGO.get(language, language)}/LC_MESSAGES/django.mo"):
        with file.open("rb") as stream:
            catalogue = gettext.GNUTranslations(stream)._catalog
        for key, text in catalogue.items():
            source = key[0] if isinstance(key, tuple) else key
            text = " ".join((source if language == "en" else text).split())
            if source and " " in source and not PLACEHOLDER.search(text):
                yield text


def titles(file: Path) -> list[str]:
    """The titles of the articles of a Wikipedia dump."""
    content = bz2.decompress(file.read_bytes())
    return TITLE.findall(content.decode("utf-16" if content.startswith(codecs.BOM_UTF16_LE) else "utf-8"))
