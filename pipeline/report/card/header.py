"""The YAML header of the card: what the Hugging Face Hub and ``datasets`` read of it."""

import re
from typing import Any

import yaml

from pipeline.report.card.columns import is_nested
from pipeline.report.card.contents import SHARDS, Contents
from pipeline.report.card.languages import hub_languages

SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B",
         "100B<n<1T", "n>1T")  # fmt: skip
TASKS = ["zero-shot-image-classification", "image-feature-extraction", "image-to-text"]
TAGS = ["clip", "metaclip", "image-text"]


class _Quoting(yaml.SafeDumper):
    """Quotes every text that some version of YAML may take for something else."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 _./*-]*", text) and not re.fullmatch(r"0o?.*|\.?(inf|nan)", text, re.I)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Quoting.add_representer(str, _text)


def header(contents: Contents) -> str:
    """The header, between its lines of ``---``."""
    recipe, found = contents.recipe, {"pretty_name": contents.recipe.name}
    codes, tags = hub_languages(languages(contents))
    found |= {"language": codes} if codes else {}
    found |= {"language_details": tags} if tags else {}
    found["license"] = recipe.license or "unknown"
    found |= {key: value for key in ("license_name", "license_link") if (value := getattr(recipe, key))}
    if (credit := (recipe.credit or "").strip()) and recipe.license in (None, "other", "unknown"):
        found["license_details"] = credit
    if contents.chosen:
        found["size_categories"] = [size_category(contents.rows(contents.chosen))]
    found["task_categories"] = TASKS
    found["tags"] = TAGS + (["webdataset"] if contents.shards else [])
    if tables := configs(contents):
        found["configs"] = tables
    text = yaml.dump(found, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=2**20)
    return f"---\n{text}---\n"


def languages(contents: Contents) -> dict[str, int]:
    """The pairs by entry list that balancing kept, the largest first; empty where languages were not told apart."""
    if contents.recipe.language.identify == "none":
        return {}
    kept = contents.note("kept", {})
    return {name: kept[name] for name in sorted(kept, key=lambda name: (-kept[name], name)) if kept[name]}


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    return next((name for power, name in enumerate(SIZES[:-1], 3) if rows < 10**power), SIZES[-1])


def configs(contents: Contents) -> list[dict[str, Any]]:
    """What ``load_dataset(FOLDER, NAME)`` finds: the tables, the chosen one by default.

    The digest in the description is for the cache of ``datasets``, too: it has a table by the names of folder and table
    and by what the card says, and would give the one of a run before. Not the tars, as all that a card names is read
    with one reader; and no tables that ``datasets`` cannot load: those without rows, and with maps.
    """
    found = []
    for table in contents.readable:
        nested = any(is_nested(column.type) for column in contents.schemas.get(table, ()))
        if table == SHARDS or nested or not contents.rows(table):
            continue
        files = [{"split": "train", "path": f"{table}/*.parquet"}]
        default = {"default": True} if table == contents.chosen else {}
        what = f"{contents.tables[table]} (SHA-256 of its files: {contents.digest(table)})"
        found.append({"config_name": table, "description": what, "data_files": files} | default)
    return found
