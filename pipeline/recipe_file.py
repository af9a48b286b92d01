"""Recipe files: reading YAML, bundled recipes by name, ``--set dotted.key=value``, and errors of one line.

What keys a recipe has is said by a model: ``pipeline.recipe`` for curation, ``pipeline.train.recipe`` for training.
"""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from pipeline.errors import UsageError
from pipeline.listing import list_files
from pipeline.paths import GLOB, absolute, is_url, local

BUNDLED = Path(__file__).parent / "recipes"
# Where a recipe's paths are looked up after the working directory, for the entry lists: they lie in a folder of the
# project, and in one of the package where that was built into a wheel (`setup.py`).
SHIPPED = Path(__file__).resolve().with_name("shipped")
PROJECT = SHIPPED if SHIPPED.is_dir() else SHIPPED.parents[1]


class Section(BaseModel):
    """A group of keys; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Count = Annotated[StrictInt, Field(ge=1)]
ListName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Model = TypeVar("Model", bound=Section)


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


class _Writer(yaml.SafeDumper):
    """Quotes what ``_Yaml12`` would read as something else, too."""


for _kind in (_Yaml12, _Writer):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
    )


def bundled(folder: Path) -> list[str]:
    """The names of the recipes in a folder of the package."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


def read(folder: Path, name_or_file: str) -> dict[str, Any]:
    """The plain content of a bundled recipe of ``folder``, by name, or of a YAML file."""
    names = bundled(folder)
    file = folder / f"{name_or_file}.yaml" if name_or_file in names else Path(local(name_or_file))
    if not file.is_file():
        raise UsageError(f"--recipe {name_or_file}: no such file; bundled recipes: {', '.join(names)}")
    try:
        content = parse(file.read_text(encoding="utf-8"), f"--recipe {name_or_file}")
    except UnicodeDecodeError as error:
        raise UsageError(f"--recipe {name_or_file}: not UTF-8 at byte {error.start}") from None
    if not isinstance(content, dict):
        raise UsageError(f"--recipe {name_or_file}: found {type(content).__name__}, a mapping of keys is allowed")
    return content


def parse(text: str, where: str, texts: bool = False) -> Any:
    """YAML as plain values, or, with ``texts``, every value as it is written."""
    try:
        return yaml.load(text, yaml.BaseLoader if texts else _Yaml12)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise UsageError(f"{where}: not valid YAML{line}: {problem}") from None


def section(content: dict, key: str) -> dict:
    """A group of keys of a recipe; empty where it is not there."""
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise UsageError(f"{key}: found {found!r}, a mapping of keys is allowed")
    return found


def override(content: dict[str, Any], setting: str, exclusive: dict[str, tuple[str, ...]] | None = None) -> None:
    """Puts ``dotted.key=value`` into a recipe; of a section's ``exclusive`` keys the one set replaces the others."""
    dotted, equals, value = setting.partition("=")
    if not equals or not dotted:
        raise UsageError(f"--set {setting}: allowed is dotted.key=value")
    *sections, key = dotted.split(".")
    rivals = (exclusive or {}).get(".".join(sections), ())
    for name in sections:
        content[name] = content = section(content, name)
    if key in rivals:
        for other in rivals:
            content.pop(other, None)
    content[key] = parse(value, f"--set {setting}")


def validated(model: type[Model], content: dict[str, Any], name: str) -> Model:
    """A recipe of plain values; ``UsageError`` in one line where something is not allowed."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"recipe {name}: {_one_line(model, error)}") from None


def to_yaml(recipe: Section) -> str:
    """The resolved recipe as YAML, every default spelled out."""
    return yaml.dump(recipe.model_dump(), Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120)


def local_path(path: str) -> Path:
    """A path of a recipe, or ``file://`` URL, looked up in the working directory, then in the project's folder."""
    found = Path(local(path))
    return found if found.is_absolute() or found.exists() or not (PROJECT / found).exists() else PROJECT / found


def found_path(path: str) -> str:
    """A path or pattern of a recipe from the root, looked up as ``local_path`` does, or a URL."""
    if is_url(path):
        return path
    found = local_path(path)
    if GLOB.search(path) and not found.is_absolute() and not list_files(str(found)):
        found = PROJECT / found if list_files(str(PROJECT / found)) else found
    return absolute(str(found))


def _section_of(annotation: Any) -> Any:
    """The section in an annotation: itself, or that of ``Section | None`` or ``dict[str, Section]``."""
    inside = [part for part in get_args(annotation) if isinstance(part, type) and issubclass(part, Section)]
    return inside[0] if inside else annotation


def _one_line(model: type[Section], error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    # Of a union (`t` a number or a map) pydantic tells every branch; its names are not keys of the recipe.
    key = ".".join(str(part) for part in first["loc"] if "[" not in str(part) and part not in ("float", "str", "dict"))
    found = first.get("input")
    match first["type"]:
        case "extra_forbidden":
            parent = model
            for part in first["loc"][:-1]:
                parent = _section_of(parent.model_fields[part].annotation) if part in parent.model_fields else parent
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
