"""Which finished tables a run may read: those whose records fit the recipe and each other.

A record fits where the recipe says what it was made with, and so for all stages before it; of the input, which a stage
alone is not given, the paths are not compared. Records fit each other where they come from the same tables.
"""

import json
from collections.abc import Iterator
from typing import Any

from pipeline import record, storage
from pipeline.errors import UsageError
from pipeline.recipe import Recipe
from pipeline.record import Record, fingerprint
from pipeline.run import Finished, Request
from pipeline.secrets import without_secrets, without_users
from pipeline.stage import Stage
from pipeline.stages import named, stages_before, stages_of

POOL = "input.paths"
LONGEST = 60


class Fit:
    """What each stage of a recipe depends on, held against records."""

    def __init__(self, recipe: Recipe, wanted: list[Stage]):
        self.recipe = recipe
        self.stages = stages_of(recipe)
        self._given = {stage.name: stage.depends(recipe) for stage in {*self.stages, *wanted}}
        self.depends = {name: without_secrets(depends) for name, depends in self._given.items()}

    def origin(self, stage: Stage, files: list, finished: Finished) -> dict[str, Any]:
        """What the record of a stage says of where its tables come from: recipe, files, and stages before it."""
        given = without_users([self._given[stage.name], files])  # New keys make no new tables.
        read = [finished.records[before.name] for before in stages_before(stage, self.recipe)]
        return {
            "fingerprint": fingerprint(stage.name, *given, *(before.fingerprint for before in read)),
            "depends": self.depends[stage.name],
            "before": {name: origin for before in read for name, origin in before.origins().items()},
        }

    def origins(self, stage: Stage) -> set[str]:
        """The names of a stage and of all before it, near and far."""
        return {stage.name}.union(*(self.origins(before) for before in stages_before(stage, self.recipe)))

    def misfit(self, found: Record, finished: Finished) -> str | None:
        """Why the tables of a record are not what the recipe and the finished stages ask for; None where they are."""
        stage, origins, known = named(found.stage), found.origins(), finished.origins()
        if odd := sorted(self.origins(stage) ^ set(origins)):
            which = "with" if odd[0] in origins else "without"
            return f"{_are(stage)} of a recipe {which} the stage {odd[0]}; run the stage {stage.name} first"
        for name, origin in origins.items():
            if difference := next(differences(origin["depends"], self.depends[name]), None):
                key, made, says = difference
                first = f"run the stage {name} first"
                return f"{_are(stage)} of {key} {shown(made)}, the recipe says {shown(says)}; {first}"
        for name, origin in origins.items():
            if known.get(name, origin)["fingerprint"] != origin["fingerprint"]:
                other = ", ".join(named(name).tables)
                return f"{_are(stage)} of other {other}; run the stage {stage.name} first"
        return None


def finished_before(request: Request, wanted: list[Stage], fit: Fit) -> Finished:
    """The stages that the wanted ones read and that are not among them: of the source, else of the output.

    Raises ``UsageError`` where one of them fits in neither, and names what to run first.
    """
    read = {before.name for stage in wanted for before in stages_before(stage, request.recipe)}
    finished = Finished()
    for stage in fit.stages:
        if stage.name not in read or stage in wanted:
            continue
        problems = []
        for place in dict.fromkeys((request.source, request.output)):
            if (found := load_finished(place, stage)) is None:
                continue
            if (problem := fit.misfit(found, finished)) is None:
                finished.add(found, stage.folders, place)
                break
            problems.append(f"--input {place}: {problem}")
        else:
            missing = f"no finished {', '.join(stage.tables)}; run the stage {stage.name} first"
            raise UsageError((problems or [f"--input {request.source}: {missing}"])[0])
    return finished


def load_finished(output: str, stage: Stage) -> Record | None:
    """The record of a stage in an output; None where a folder of its is gone."""
    found = record.load(output, stage.name)
    there = found and all(storage.exists(storage.join(output, folder)) for folder in stage.folders)
    return found if there else None


def differences(made: Any, says: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The keys in which what tables were made with differs from what a recipe says, with both values.

    A key of the top that the recipe does not tell is not compared.
    """
    if isinstance(made, dict) and isinstance(says, dict):
        for name in says if not key else dict.fromkeys([*says, *made]):
            yield from differences(made.get(name), says.get(name), f"{key}.{name}".lstrip("."))
    elif made != says and key != POOL:
        yield key, made, says


def _are(stage: Stage) -> str:
    return ", ".join(stage.tables) + (" are" if len(stage.tables) > 1 else " is")


def shown(value: Any) -> str:
    """A value of a recipe in a line for people."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
