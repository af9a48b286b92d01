"""What a report says of how the output was made: recipe, versions, stages with their rows and seconds."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from pipeline.recipe import bundled_recipes, load_recipe
from pipeline.recipe_file import to_yaml
from pipeline.remove.told import removals
from pipeline.report.card.contents import SECRETS
from pipeline.report.page.source import Output

DEFAULT = "metaclip-400m"
COUNTED = ("evaluation", "refused", "pairs_above", "values_lost", "ngrams", "best", "semantic")
PACKAGES = ("metaclip-pipeline", "pyspark", "pyarrow", "numpy", "pillow", "img2dataset")


def stages(output: Output) -> list[dict[str, Any]]:
    """Every finished stage: rows in and out, what was dropped by reason, seconds."""
    return [
        {
            "stage": found["stage"],
            "in": found["rows_in"],
            "out": found["rows_out"],
            "dropped": sorted(found["dropped"].items(), key=lambda reason: -reason[1]),
            "seconds": round(found.get("seconds", 0), 1),
        }
        for found in output.records
    ]


def filters(output: Output) -> list[dict[str, Any]]:
    """What the filter and the shards counted besides reasons: evaluation sets, refused images, values by name."""
    shown = []
    for stage in ("ingest", "filter", "rebalance", "shards"):
        for key, value in output.notes(stage).items():
            if key.startswith(COUNTED) and value:
                lines = list(value.items()) if isinstance(value, dict) else [("", value)]
                shown.append({"stage": stage, "what": key, "lines": [[str(name), str(rows)] for name, rows in lines]})
    for line in removals(output.folder):
        rows = [[table, str(count)] for table, count in line["rows"].items()]
        shown.append({"stage": "remove", "what": f"taken out {line['when']}", "lines": rows})
    return shown


def recipe(output: Output) -> dict[str, Any]:
    """The recipe key by key, beside the bundled recipe of that name, or else ``DEFAULT``."""
    name = output.recipe.get("name")
    other = name if name in bundled_recipes() else DEFAULT
    bundled = dict(flat(yaml.safe_load(to_yaml(load_recipe(other)))))
    own = dict(flat(output.recipe))
    lines = [
        {"key": key, "value": shown(own[key]) if key in own else None,
         "bundled": shown(bundled[key]) if key in bundled else None}
        for key in dict.fromkeys([*own, *bundled])
        if key not in ("credit", "input.paths") and (own.get(key) is not None or bundled.get(key) is not None)
    ]  # fmt: skip
    return {"lines": lines, "of": f"the bundled recipe {other}", "credit": str(output.recipe.get("credit") or "")}


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as dotted ones."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from flat(inner, f"{key}.{name}".lstrip("."))
    else:
        yield key, value


def shown(value: Any) -> str:
    """A value of a recipe as YAML on one line, without what URLs tell of users and keys."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).strip()
    text = text.removesuffix("...").strip()
    return SECRETS.sub("", text) if "://" in text else text


def versions() -> dict[str, str]:
    """The versions of Python and of what mattered."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
