"""Builds lists again from what their manifest says and compares them: what ships can be made by anybody."""

import tempfile
from typing import Any

from pipeline import storage
from pipeline.entries.build.build import MANIFEST, build
from pipeline.entries.build.recipe import BuildRecipe
from pipeline.errors import UsageError
from pipeline.progress import running


def check_lists(folder: str, wordnet: str | None) -> dict[str, str]:
    """For each list of a folder's manifest ``the same``, or what differs. The lists must not need Spark."""
    manifest = storage.read_json(storage.join(folder, MANIFEST))
    if manifest is None:
        raise UsageError(f"{folder}: no {MANIFEST} there")
    found = {}
    with tempfile.TemporaryDirectory(prefix="metaclip-check-") as made:
        for name, part in manifest["lists"].items():
            with running(f"Building {name}"):
                found[name] = _compare(part, folder, made, wordnet)
    return found


def _compare(part: dict[str, Any], folder: str, made: str, wordnet: str | None) -> str:
    content = {key: value for key, value in part["recipe"].items() if value is not None} | {"credit": part["credit"]}
    if content["wordnet"].get("path"):
        if wordnet is None:
            raise UsageError(f"{part['file']} is of a WordNet: give it with --wordnet (make metadata-check gets it)")
        content["wordnet"] = content["wordnet"] | {"path": wordnet}
    new = build(BuildRecipe.model_validate(content), made, _no_session)
    if storage.sha256(storage.join(folder, part["file"])) != part["sha256"]:
        return "the file is not that of the manifest"
    if new["entries_sha256"] != part["entries_sha256"]:
        return f"{new['entries']:,} entries, {part['entries']:,} in the manifest, or others"
    return "the same"


def _no_session():
    raise UsageError("a list that is counted in text cannot be checked; build it again by its recipe")
