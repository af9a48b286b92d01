"""What a run does: the recipe, its keys and their allowed values, loading and overriding.

A recipe is YAML. ``load_recipe`` reads a bundled one by name or any file, applies ``--set dotted.key=value`` overrides,
validates, and raises ``UsageError`` with one line that names the key, what was found and what is allowed. Relative
paths in a recipe are looked up in the working directory, then in the project's folder. ``docs/recipes.md`` explains
every key.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

from pipeline.errors import UsageError

BUNDLED = Path(__file__).parent / "recipes"
PROJECT = Path(__file__).resolve().parents[1]

Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Count = Annotated[StrictInt, Field(ge=1)]


ListName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Section(BaseModel):
    """A group of keys; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Input(Section):
    """Where the pool is and how to read it."""

    paths: list[StrictStr] = []
    format: Literal["auto", "parquet", "csv", "tsv", "jsonl"] = "auto"
    preset: Literal["laion", "datacomp", "cc3m", "cc12m", "coyo", "img2dataset"] | None = None
    columns: dict[
        Literal["url", "text", "text_source", "page_url", "page_language", "language", "width", "height", "source_uid"],
        StrictStr,
    ] = {}
    pass_through: list[StrictStr] = []
    multiline: StrictBool = True
    max_text_bytes: Count = 1 << 20


class Language(Section):
    """How the language of a text is known, and which are kept."""

    identify: Literal["fasttext", "column", "none"] = "fasttext"
    model: StrictStr = "lid.176"
    keep: list[StrictStr] = []
    threshold: Share = 0.0


class Match(Section):
    """The entry form of MetaCLIP 1 or 2, and the engine that finds them."""

    form: Literal["metaclip1", "metaclip2"] = "metaclip1"
    engine: Literal["fast", "reference"] = "fast"


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


class Balance(Section):
    """The threshold ``t`` (given, from a tail share, or from a wanted size) and what is done with it."""

    mode: Literal["sample", "cap", "none"] = "sample"
    t: Threshold | dict[StrictStr, Threshold] | None = None
    tail_share: Share | None = None
    size: Count | None = None
    texts_per_image: Literal["all", "one"] = "all"
    files: Count | None = None

    @model_validator(mode="after")
    def _one_threshold(self):
        given = [key for key in THRESHOLD_KEYS if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of t, tail_share, size is allowed, found {', '.join(given) or 'none'}")
        if self.size is not None and self.mode == "cap":
            raise ValueError("size is for the modes sample and none, found mode cap")
        return self


THRESHOLD_KEYS = ("t", "tail_share", "size")


class Images(Section):
    """Pictures that are local files: URLs that start with ``prefix`` stand for files below ``root``."""

    root: StrictStr | None = None
    prefix: StrictStr | None = None

    @model_validator(mode="after")
    def _both(self):
        if (self.root is None) != (self.prefix is None):
            raise ValueError("root and prefix go together, found one of them")
        return self


class Shards(Section):
    """The size of a shard in samples."""

    samples: Count = 10_000


class Recipe(Section):
    """A whole run, as in ``docs/recipes.md``."""

    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63 - 1)] = 0
    input: Input = Input()
    language: Language = Language()
    entries: Annotated[dict[ListName, StrictStr], Field(min_length=1)] | StrictStr
    match: Match = Match()
    dedupe: Dedupe = Dedupe()
    balance: Balance
    images: Images = Images()
    shards: Shards = Shards()
    credit: StrictStr | None = None

    @model_validator(mode="after")
    def _lists_fit(self):
        if self.language.identify == "none" and self.language.keep:
            raise ValueError("language.keep: with language.identify none every language is und; allowed: []")
        if isinstance(self.entries, str):
            return self
        lists = list(self.entries)
        if self.language.identify == "none" and len(lists) != 1:
            raise ValueError(f"entries: language.identify none needs exactly one list, found {len(lists)}")
        t = self.balance.t
        if isinstance(t, dict):
            if unknown := sorted(set(t) - set(lists)):
                raise ValueError(f"balance.t: no list {unknown[0]!r}; allowed: {', '.join(lists)}")
            if "en" not in t and set(lists) - set(t):
                raise ValueError("balance.t: lists without a t follow that of en, which has none")
        elif len(lists) > 1 and "en" not in lists:
            raise ValueError("balance: one number for several lists needs a list en; give balance.t as a map by list")
        return self


class _Yaml12(yaml.SafeLoader):
    """YAML as of version 1.2 where 1.1 surprises: ``no`` (Norwegian), ``yes``, ``on``, ``off`` are texts, ``2e4`` is a
    number, and no key may stand twice."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for i, key in enumerate(keys) if key in keys[:i]]:
            raise yaml.MarkedYAMLError(problem=f"key {twice[0]!r} twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


_Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def bundled_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(file.stem for file in BUNDLED.glob("*.yaml"))


def load_recipe(name_or_file: str, overrides: list[str] | None = None, inputs: list[str] | None = None) -> Recipe:
    """The validated recipe of a bundled name or a YAML file, with ``key=value`` overrides and input paths put in."""
    bundled = BUNDLED / f"{name_or_file}.yaml"
    file = bundled if name_or_file in bundled_recipes() else Path(name_or_file)
    if not file.is_file():
        raise UsageError(f"--recipe {name_or_file}: no such file; bundled recipes: {', '.join(bundled_recipes())}")
    try:
        content = _parse(file.read_text(encoding="utf-8"), f"--recipe {name_or_file}")
    except UnicodeDecodeError as error:
        raise UsageError(f"--recipe {name_or_file}: not UTF-8 at byte {error.start}") from None
    if not isinstance(content, dict):
        raise UsageError(f"--recipe {name_or_file}: found {type(content).__name__}, a mapping of keys is allowed")
    for override in overrides or []:
        _override(content, override)
    if inputs:
        content["input"] = _section(content, "input") | {"paths": list(inputs)}
    return validate(content, name_or_file)


def validate(content: dict[str, Any], name: str) -> Recipe:
    """A recipe of plain values; ``UsageError`` in one line where something is not allowed."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"recipe {name}: {_one_line(error)}") from None


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default spelled out."""
    return yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True, width=120)


def local_path(path: str) -> Path:
    """A path of a recipe, looked up in the working directory, then in the project's folder."""
    found = Path(path)
    return found if found.is_absolute() or found.exists() or not (PROJECT / path).exists() else PROJECT / path


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Yaml12)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(f"{where}: not valid YAML{line}: {getattr(error, 'problem', error)}") from None


def _section(content: dict, key: str) -> dict:
    section = content.get(key) or {}
    if not isinstance(section, dict):
        raise UsageError(f"{key}: found {section!r}, a mapping of keys is allowed")
    return section


def _override(content: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    if not equals or not dotted:
        raise UsageError(f"--set {override}: allowed is dotted.key=value")
    *sections, key = dotted.split(".")
    if sections == ["balance"] and key in THRESHOLD_KEYS:
        for other in THRESHOLD_KEYS:
            _section(content, "balance").pop(other, None)
    for section in sections:
        content[section] = content = _section(content, section)
    content[key] = _parse(value, f"--set {override}")


def _one_line(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    # Of a union (`t` a number or a map) pydantic tells every branch; its names are not keys of the recipe.
    key = ".".join(str(part) for part in first["loc"] if "[" not in str(part) and part not in ("float", "str", "dict"))
    found = first.get("input")
    match first["type"]:
        case "extra_forbidden":
            parent = Recipe
            for part in first["loc"][:-1]:
                parent = parent.model_fields[part].annotation
            text = f"{key}: no such key; allowed: {', '.join(parent.model_fields)}"
        case "missing":
            text = f"{key}: missing"
        case "literal_error":
            text = f"{key}: found {found!r}; allowed: {first['ctx']['expected']}"
        case "value_error":
            text = ": ".join(filter(None, [key, str(first["ctx"]["error"])]))
        case _:
            allowed = first["msg"][0].lower() + first["msg"][1:]
            text = f"{key}: found {found!r}; {allowed}"
    more = len({problem["loc"][:2] for problem in problems}) - 1
    return text.replace("\n", " ") + (f" (and {more} more)" if more else "")
