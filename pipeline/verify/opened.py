"""A set to be checked: its recipe, records and manifest, each held against how this project writes them."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline import record, storage
from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.recipe_file import parse, validated
from pipeline.record import Record

RECIPE = "recipe.yaml"
MISSING = {
    record.MANIFEST: "the set is not finished",
    record.DESCRIBED: "the same curate again writes it, where an earlier version made the set",
}


@dataclass(frozen=True)
class Opened:
    """``files``: the lines of the manifest by path, or of the records where there is no manifest.

    ``described``: those of the files that say what is in the set. ``wrong``: what was found on the way.
    """

    output: str
    recipe: Recipe | None
    records: dict[str, Record]
    files: dict[str, dict[str, Any]]
    described: dict[str, dict[str, Any]]
    wrong: tuple[str, ...]

    def path(self, below: str) -> str:
        """The path of a file or folder of the output."""
        return storage.join(self.output, *below.split("/"))

    def of_table(self, table: str) -> list[str]:
        """The files of a table, in order; none of the folders in it."""
        return [path for path in sorted(self.files) if path.rpartition("/")[0] == table]

    def rows(self, table: str) -> int:
        """The rows of a table by the manifest."""
        return sum(self.files[path].get("rows", 0) for path in self.of_table(table))


def opened(output: str) -> tuple[str, Recipe | None, str | None]:
    """The path of an output from the root, its recipe, and what is wrong with that where it cannot be read.

    Raises ``UsageError`` where there is no output.
    """
    output = storage.absolute(output)
    path = storage.join(output, RECIPE)
    if not storage.exists(path):
        raise UsageError(f"{output}: no output of this project ({RECIPE} is missing)")
    try:
        content = parse(storage.read_bytes(path).decode(), RECIPE)
        if not isinstance(content, dict):
            return output, None, f"{RECIPE}: no mapping of keys"
        return output, validated(Recipe, content, RECIPE), None
    except UnicodeDecodeError:
        return output, None, f"{RECIPE}: not UTF-8"
    except UsageError as problem:
        return output, None, str(problem) if str(problem).startswith(RECIPE) else f"{RECIPE}: {problem}"


def with_records(output: str, recipe: Recipe | None, stages: list[str]) -> Opened:
    """The set of an output; ``stages``: the names of those of its recipe, in order."""
    wrong: list[str] = []
    records = {}
    for stage in stages:
        found = record.load(output, stage)
        path = f"{record.FOLDER}/{stage}.json"
        if found is None:
            there = storage.exists(storage.join(output, *path.split("/")))
            why = "is not a record of this version" if there else "missing: the stage is not finished"
            wrong.append(f"{path}: {why}")
        else:
            records[stage] = found
    from_records = [line for found in records.values() for line in found.files]
    manifest = _read(output, record.MANIFEST, wrong)
    files = from_records if manifest is None else manifest["files"]
    if manifest is not None:
        if recipe is not None and manifest.get("name") != recipe.name:
            wrong.append(f"{record.MANIFEST}: is of recipe {manifest.get('name')!r}, {RECIPE} is {recipe.name!r}")
        if len(records) == len(stages) and files != from_records:
            differing = next((a["path"] for a, b in zip(files, from_records, strict=False) if a != b), "the number")
            wrong.append(f"{record.MANIFEST}: does not say what the stages' records say; first: {differing}")
    described = _read(output, record.DESCRIBED, wrong)
    described = described if isinstance(described, list) else []
    return Opened(
        output, recipe, records, {line["path"]: line for line in files}, {line["path"]: line for line in described},
        tuple(wrong),
    )  # fmt: skip


def _read(output: str, name: str, wrong: list[str]) -> Any:
    """The manifest, or the hashes of what describes the set; None where they cannot be read.

    What is wrong with them goes to ``wrong``.
    """
    path = storage.join(output, name)
    if not storage.exists(path):
        wrong.append(f"{name}: missing: {MISSING[name]}")
        return None
    content = storage.read_bytes(path)
    try:
        found = json.loads(content)
        lines = found["files"] if name == record.MANIFEST else found
        if not all({"path", "sha256", "bytes"} <= set(line) for line in lines):
            raise ValueError("a line without path, sha256 or bytes")
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        wrong.append(f"{name}: cannot be read: {problem}")
        return None
    if content != storage.json_bytes(found):
        wrong.append(f"{name}: not as this project writes it: a byte is changed")
    return found
