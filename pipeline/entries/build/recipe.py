"""What an entry list is built of: the recipe of ``jobs/build_metadata.py``, its keys and their allowed values.

``docs/metadata.md`` explains every key. The sources have the letters of the column ``source``: ``w`` WordNet, ``u``
unigrams, ``b`` bigrams, ``t`` titles, ``n`` the numbers 0 to 99, ``p`` names from packages, ``l`` a list of one's own.
"""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

from pipeline.recipe import Share
from pipeline.recipe_file import BUNDLED, Count, ListName, Section, override, read, validated

FOLDER = BUNDLED / "metadata"
SOURCES = {
    "w": "WordNet",
    "u": "unigrams",
    "b": "bigrams",
    "t": "titles",
    "n": "numbers 0 to 99",
    "p": "names of packages",
    "l": "own lists",
}
Source = Literal["w", "u", "b", "t", "n", "p", "l"]


class Limits(Section):
    """Of a source's candidates, best first: those of at least ``min``, a ``top_share`` of them, the first ``most``."""

    min: Annotated[float, Field(ge=0)] | None = None
    top_share: Share | None = None
    most: Count | None = None


class Wordnet(Section):
    """A WordNet: WNDB files (a folder or .tar.gz), an LMF file, or a .tab file of the Open Multilingual WordNet."""

    path: StrictStr | None = None
    names: Literal["synsets", "lemmas"] = "synsets"


class Text(Section):
    """Wikipedia dumps (XML, also .bz2 and .gz) and plain text, and how words are found in it."""

    paths: list[StrictStr] = Field(default_factory=list)
    segment: Literal["auto", "spaces", "icu"] = "auto"
    case: Literal["keep", "lower"] = "keep"


class Bigrams(Limits):
    """Bigrams by ``pmi`` (NLTK's) or ``npmi``; ``share_of_unigrams``: at most so many for each unigram of the list."""

    min: float | None = None
    score: Literal["pmi", "npmi"] = "npmi"
    min_count: Count = 1
    share_of_unigrams: Annotated[float, Field(gt=0)] | None = None
    prune: Annotated[StrictInt, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _no_pruning_with_pmi(self):
        if self.prune and self.score == "pmi" and self.min is not None:
            raise ValueError("prune: rare bigrams are those of high PMI; with score pmi and min only 0 is allowed")
        return self


class Titles(Limits):
    """Titles by page views, from ``pageviews-*.gz`` hour files."""

    paths: list[StrictStr] = Field(default_factory=list)


class Frequencies(Limits):
    """Words of the package ``wordfreq`` by their Zipf frequency; the first ``capitalised`` with a capital too."""

    use: StrictBool = False
    capitalised: Annotated[StrictInt, Field(ge=0)] = 0


class BuildRecipe(Section):
    """One entry list."""

    name: ListName
    language: ListName
    numbers: StrictBool = False
    wordnet: Wordnet = Wordnet()
    text: Text = Text()
    unigrams: Limits | None = None
    bigrams: Bigrams | None = None
    titles: Titles = Titles()
    frequencies: Frequencies = Frequencies()
    packages: list[Literal["cldr", "geonames", "emoji"]] = Field(default_factory=list)
    lists: list[StrictStr] = Field(default_factory=list)
    priority: list[Source] = Field(default_factory=lambda: list(SOURCES))
    max_characters: Count = 256
    spaced: StrictBool = False
    base: StrictStr | None = None
    credit: StrictStr | None = None

    @field_validator("priority")
    @classmethod
    def _all_sources(cls, given: list[Source]) -> list[Source]:
        """A priority of some sources: the others follow."""
        return given + [source for source in SOURCES if source not in given]

    @model_validator(mode="after")
    def _some_source(self):
        counted = self.unigrams is not None or self.bigrams is not None
        if counted and not (self.text.paths or self.frequencies.use):
            raise ValueError("text.paths: missing; unigrams and bigrams are counted in text (--input)")
        if len(set(self.priority)) < len(self.priority):
            raise ValueError(f"priority: found {self.priority}; a source may stand once")
        used = (self.wordnet.path, self.text.paths, self.titles.paths, self.frequencies.use, self.packages, self.lists)
        if not (self.numbers or any(used)):
            raise ValueError("no source: give wordnet.path, text.paths, titles.paths, frequencies, packages or lists")
        return self


def load_build_recipe(name_or_file: str, overrides: list[str], language: str | None, inputs: list[str]) -> BuildRecipe:
    """The validated recipe of a bundled name or a YAML file.

    ``inputs`` go by their names: page views (``pageviews*``), WordNets (with ``dict``, ``wordnet`` or ``lmf`` in the
    name, or ``.tab``), and the rest is text. Raises ``UsageError`` in one line.
    """
    content = read(FOLDER, name_or_file)
    if language:
        content |= {"language": language, "name": language}
    for setting in overrides:
        override(content, setting)
    for path in inputs:
        name = path.rstrip("/").rsplit("/", 1)[-1]
        if name.startswith("pageviews"):
            _section(content, "titles").setdefault("paths", []).append(path)
        elif "dict" in name or name.endswith(".tab") or "wordnet" in name or "lmf" in name:
            _section(content, "wordnet")["path"] = path
        else:
            _section(content, "text").setdefault("paths", []).append(path)
    return validated(BuildRecipe, content, name_or_file)


def _section(content: dict, key: str) -> dict:
    content[key] = dict(content.get(key) or {})
    return content[key]
