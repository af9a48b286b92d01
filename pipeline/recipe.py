"""What a curation does: the recipe, its keys and their allowed values.

``load_recipe`` reads a bundled one by name or any YAML file, applies ``--set dotted.key=value`` overrides, validates,
and raises ``UsageError`` with one line that names the key, what was found and what is allowed. Relative paths in a
recipe are looked up in the working directory, then in the project's folder. ``docs/recipes.md`` explains every key.
"""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, model_validator

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.extract.options import Extract
from pipeline.filter.options import Filter
from pipeline.language.options import Language
from pipeline.recipe_file import BUNDLED, Count, ListName, Section, bundled, override, parse, read, section, validated

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
# As the Hugging Face Hub spells licences: cc-by-4.0, apache-2.0, other, unknown.
LicenseId = Annotated[StrictStr, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]


class Input(Section):
    """Where the pool is and how to read it."""

    paths: list[StrictStr] = Field(default_factory=list)
    format: Literal["auto", "parquet", "csv", "tsv", "jsonl", "wat", "warc"] = "auto"
    preset: Literal["laion", "datacomp", "cc3m", "cc12m", "coyo", "img2dataset"] | None = None
    columns: dict[
        Literal["url", "text", "text_source", "page_url", "page_language", "language", "width", "height", "source_uid"],
        StrictStr,
    ] = Field(default_factory=dict)
    pass_through: list[StrictStr] = Field(default_factory=list)
    multiline: StrictBool = True
    max_text_bytes: Count = 1 << 20


class Match(Section):
    """The entry form of MetaCLIP 1 or 2, the engine that finds them, and what becomes of texts that match none."""

    form: Literal["metaclip1", "metaclip2"] = "metaclip1"
    engine: Literal["fast", "reference"] = "fast"
    unmatched: Literal["drop", "keep"] = "drop"


class Dedupe(Section):
    """Near-duplicate texts: where they are looked for, how near, and how many of a cluster stay."""

    scope: Literal["text", "image", "none"] = "text"
    threshold: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.8
    permutations: Annotated[StrictInt, Field(ge=2, le=4096)] = 128
    shingle: Count = 5
    shingle_by: Literal["characters", "words"] = "characters"
    min_words: Annotated[StrictInt, Field(ge=0)] = 5
    keep_per_cluster: Count = 10


Threshold = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
THRESHOLD_KEYS = ("t", "tail_share", "size")
MOST_CAPPED = 10  # groups with a share: pairs are counted by all combinations of them


# Setting one of such keys unsets the others.
EXCLUSIVE = {"balance": THRESHOLD_KEYS, "rebalance": THRESHOLD_KEYS, "filter.ngrams": ("top", "min_count")}


def one_threshold(section):
    """The section, which must have exactly one of the keys for a threshold."""
    given = [key for key in THRESHOLD_KEYS if getattr(section, key) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of t, tail_share, size is allowed, found {', '.join(given) or 'none'}")
    if section.domain is not None and section.size is not None:
        raise ValueError("domain is beside t or tail_share, found size")
    if section.groups and section.size is not None:
        raise ValueError("groups are beside t or tail_share, found size")
    named = [(group.terms, group.group) for group in section.groups]
    if twice := [name for name in named if named.count(name) > 1]:
        raise ValueError(f"groups: {twice[0][1]} of {twice[0][0]} is there twice")
    if (capped := sum(group.share is not None for group in section.groups)) > MOST_CAPPED:
        raise ValueError(f"groups: at most {MOST_CAPPED} have a share, found {capped}")
    return section


class Domain(Section):
    """Entries of the lists, those in a file, that have a threshold ``t`` of their own."""

    entries: StrictStr
    t: Threshold


class Group(Section):
    """A group of a file of terms: its entries have a ``t`` of their own, or at most a ``share`` of the set."""

    terms: StrictStr
    group: StrictStr
    t: Threshold | None = None
    share: Share | None = None

    @model_validator(mode="after")
    def _one(self):
        if (self.t is None) == (self.share is None):
            raise ValueError(f"exactly one of t, share is allowed, found {'none' if self.t is None else 't, share'}")
        return self


class Balance(Section):
    """The threshold ``t`` (given, from a tail share, or from a wanted size) and what is done with it."""

    mode: Literal["sample", "cap", "none", "random"] = "sample"
    t: Threshold | dict[StrictStr, Threshold] | None = None
    tail_share: Share | None = None
    size: Count | None = None
    domain: Domain | None = None
    groups: list[Group] = Field(default_factory=list)
    texts_per_image: Literal["all", "one"] = "all"
    files: Count | None = None

    @model_validator(mode="after")
    def _one_threshold(self):
        one_threshold(self)
        if self.size is not None and self.mode == "cap":
            raise ValueError("size is for the modes sample, none and random, found mode cap")
        if self.size is None and self.mode == "random":
            raise ValueError("mode random takes a size, found none")
        if self.groups and self.mode != "sample":
            raise ValueError(f"groups are for mode sample, found mode {self.mode}")
        return self


class Images(Section):
    """Images that are fetched, or in ``tars``, or local: URLs that start with ``prefix`` are files below ``root``."""

    root: StrictStr | None = None
    prefix: StrictStr | None = None
    tars: list[StrictStr] = Field(default_factory=list)
    fetch: StrictBool = False
    size: Count = 256
    resize: Literal["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"] = "keep_ratio"
    only_if_bigger: StrictBool = True
    format: Literal["jpg", "png", "webp"] = "jpg"
    quality: Annotated[StrictInt, Field(ge=0, le=100)] = 95
    min_side: Annotated[StrictInt, Field(ge=0)] = 0
    max_aspect: Annotated[float, Field(ge=1)] | None = None
    threads: Count = 32
    timeout: Count = 10
    retries: Annotated[StrictInt, Field(ge=0)] = 2
    wait: Annotated[float, Field(ge=0)] = 10.0
    most_wait: Annotated[float, Field(ge=0)] = 120.0
    requests_per_host: Annotated[StrictInt, Field(ge=0)] = 0
    user_agent: StrictStr | None = None
    ask_hosts: StrictBool = False
    most_bytes: Count = 50_000_000
    most_seconds: Annotated[float, Field(gt=0)] = 60.0
    most_pixels: Count = 100_000_000
    allow_networks: list[StrictStr] = Field(default_factory=list)
    samples: Count = 10_000
    tasks_may_repeat: StrictBool = False

    @model_validator(mode="after")
    def _both(self):
        if (self.root is None) != (self.prefix is None):
            raise ValueError("root and prefix go together, found one of them")
        if self.fetch + (self.root is not None) + bool(self.tars) > 1:
            raise ValueError("fetch is for images of the web, root for local files, tars for tars; found two of them")
        if self.format == "png" and self.quality > 9:
            raise ValueError(f"quality: found {self.quality}; for png 0 to 9 is allowed, the compression")
        for network in self.allow_networks:
            try:
                ip_network(network)
            except ValueError as error:
                raise ValueError(f"allow_networks: found {network!r}: {error}") from None
        return self


class Rebalance(Section):
    """The threshold of balancing again over what survived fetching and filtering."""

    t: Threshold | dict[StrictStr, Threshold] | None = None
    tail_share: Share | None = None
    size: Count | None = None
    domain: Domain | None = None
    groups: list[Group] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_threshold(self):
        return one_threshold(self)


class Shards(Section):
    """The size of a shard in samples, where they go, and the column whose boxes (of faces) are blurred."""

    samples: Count = 10_000
    folder: StrictStr | None = None
    blur: StrictStr | None = None


class Recipe(Section):
    """A whole run, as in ``docs/recipes.md``."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63 - 1)] = 0
    input: Input = Input()
    extract: Extract = Extract()
    language: Language = Language()
    entries: Annotated[dict[ListName, StrictStr], Field(min_length=1)] | StrictStr
    match: Match = Match()
    dedupe: Dedupe = Dedupe()
    balance: Balance
    images: Images = Images()
    filter: Filter = Filter()
    rebalance: Rebalance | None = None
    shards: Shards = Shards()
    credit: StrictStr | None = None
    license: LicenseId | None = None
    license_name: LicenseId | None = None
    license_link: StrictStr | None = None

    @model_validator(mode="after")
    def _license(self):
        given = [key for key in ("license_name", "license_link") if getattr(self, key) is not None]
        if given and self.license != "other":
            raise ValueError(f"{given[0]}: is for license other, found {self.license or 'none'}")
        return self

    @model_validator(mode="after")
    def _lists_fit(self):
        if self.language.identify == "none" and self.language.keep:
            raise ValueError("language.keep: with language.identify none every language is und; allowed: []")
        if self.language.match_first and self.match.unmatched == "keep":
            raise ValueError("language.match_first: not with match.unmatched keep")
        if self.language.match_first and (self.filter.texts_per_image or self.filter.images_per_text):
            raise ValueError("language.match_first: not with filter.texts_per_image or images_per_text")
        if self.language.match_first and len(self.entries) != 1 and not isinstance(self.entries, str):
            raise ValueError(f"language.match_first: needs exactly one list, found {len(self.entries)}")
        if self.rebalance is not None and self.balance.mode != "sample":
            raise ValueError(f"rebalance: is for balance.mode sample, found {self.balance.mode}")
        if isinstance(self.entries, str):
            return self
        lists = list(self.entries)
        if self.language.identify == "none" and len(lists) != 1:
            raise ValueError(f"entries: language.identify none needs exactly one list, found {len(lists)}")
        for key in ("balance", "rebalance"):
            options = getattr(self, key)
            if options is not None and options.tail_share is None and getattr(options, "mode", None) != "random":
                _check_lists(key, options.t, lists)
        return self


def filters(recipe: Recipe) -> bool:
    """Whether a recipe has the stage filter."""
    return recipe.filter != Filter() or recipe.rebalance is not None


def makes_dataframes(recipe: Recipe, stages: list[str] | None = None) -> bool:
    """Whether a stage of the recipe, or one of some, makes DataFrames, as ``Stage.spark`` says when it is imported."""
    if stages is not None:
        return not {"images", "filter"}.isdisjoint(stages)
    return recipe.images.fetch or filters(recipe)


def pairs_table(recipe: Recipe) -> str:
    """The table of the pairs that go into shards: that of the last stage that chooses."""
    return "final" if recipe.rebalance else "filtered" if filters(recipe) else "curated"


def _check_lists(key: str, t, lists: list[str]) -> None:
    """Raises where a threshold does not fit the entry lists of a recipe."""
    if isinstance(t, dict):
        if unknown := sorted(set(t) - set(lists)):
            raise ValueError(f"{key}.t: no list {unknown[0]!r}; allowed: {', '.join(lists)}")
        if "en" not in t and set(lists) - set(t):
            raise ValueError(f"{key}.t: lists without a t follow that of en, which has none")
    elif len(lists) > 1 and "en" not in lists:
        raise ValueError(f"{key}: one number for several lists needs a list en; give {key}.t as a map by list")


def bundled_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return bundled(BUNDLED)


def load_recipe(name_or_file: str, overrides: list[str] | None = None, inputs: list[str] | None = None) -> Recipe:
    """The validated recipe of a bundled name or a YAML file, with ``key=value`` overrides and input paths put in."""
    content = read(BUNDLED, name_or_file)
    for setting in overrides or []:
        override(content, setting, exclusive=EXCLUSIVE)
    if inputs:
        content["input"] = section(content, "input") | {"paths": list(inputs)}
    return validated(Recipe, content, name_or_file)


def recipe_of(output: str, option: str) -> Recipe:
    """The recipe that is in an output, which ``option`` gave. ``UsageError`` where there is none."""
    where = f"{option} {output}"
    file = storage.join(storage.absolute(output), "recipe.yaml")
    if not storage.exists(file):
        raise UsageError(f"{where}: no recipe.yaml there; give the output of a run")
    return validated(Recipe, parse(storage.read_bytes(file).decode("utf-8", "replace"), where), where)
