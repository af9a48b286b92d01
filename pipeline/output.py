"""The output folder: whose it is, who is at work there, and what it says of itself.

``recipe.yaml`` is the recipe of the finished tables there. The other files follow from it and the records; the manifest
is removed before anything that it lists, and comes last, so that where it is there all is.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

from pipeline import lock, record, storage, tables
from pipeline.errors import UsageError
from pipeline.events import EVENTS
from pipeline.failure import DISK, SPACE
from pipeline.fitting import Fit, load_finished
from pipeline.overlap import lies_in
from pipeline.progress import say
from pipeline.recipe import Recipe
from pipeline.recipe_file import found_path, parse, to_yaml
from pipeline.record import DESCRIBED, MANIFEST, Record
from pipeline.remove.told import NAME as REMOVALS
from pipeline.remove.told import removals
from pipeline.remove.work import is_left
from pipeline.report.card.contents import Contents
from pipeline.report.card.croissant import croissant
from pipeline.report.card.readme import readme
from pipeline.report.drawing import start_drawing
from pipeline.report.page.report import NAMES as REPORT
from pipeline.report.page.report import write_report
from pipeline.report.page.source import Output
from pipeline.run import Finished, Request
from pipeline.secrets import without_secrets
from pipeline.stage import Stage
from pipeline.stages import STAGES, named, stages_from
from pipeline.tombstones.table import NAME as TOMBSTONES
from pipeline.tombstones.table import SALT

RECIPE, README, SUMMARY, PLOT = "recipe.yaml", "README.md", "summary.json", "distribution.png"
WHAT_IF = {"what-if.json", "what-if.png"}
CROISSANT = "croissant.json"
GROUPS = "groups.json"
DESCRIPTIONS = (README, CROISSANT, SUMMARY, PLOT, GROUPS, *REPORT)
REMOVED = (REMOVALS, TOMBSTONES, SALT)  # of what was taken out
OURS = {RECIPE, EVENTS, *DESCRIPTIONS, MANIFEST, *WHAT_IF, *REMOVED,
        record.FOLDER, tables.STAGING, *(folder for stage in STAGES for folder in stage.folders)}  # fmt: skip


def check_output(output: str, recipe: Recipe, force: bool) -> None:
    """Refuses a folder that holds something else, or (without ``--force``) the output of another recipe."""
    try:
        here = storage.names(output)
    except NotADirectoryError:
        raise UsageError(f"--output {output}: not a folder") from None
    except OSError as error:
        raise UsageError(f"--output {output}: cannot be read: {_reason(error)}") from None
    ours = OURS if {RECIPE, record.FOLDER} & set(here) else WHAT_IF  # Folders of these names may be anyone's.
    if foreign := [name for name in here if name not in ours and not name.startswith(".")]:
        raise UsageError(f"--output {output}: holds {foreign[0]!r}, which is not of this project; give an empty folder")
    inputs = [path for path in recipe.input.paths if lies_in(found_path(path), output)]
    if inputs and here:
        raise UsageError(f"--output {output}: holds {inputs[0]}, which input.paths names; give a folder apart from it")
    if RECIPE in here and not force:
        text = storage.read_bytes(storage.join(output, RECIPE)).decode("utf-8", "replace")
        found = parse(text, f"--output {output}: {RECIPE}", texts=True)
        name = found.get("name", "?") if isinstance(found, dict) else "?"
        if name != recipe.name:
            raise UsageError(
                f"--output {output}: holds the output of recipe {name!r}, not {recipe.name!r}; "
                "give another folder, or --force to replace it"
            )


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


@contextlib.contextmanager
def held(request: Request) -> Iterator[lock.Check]:
    """Holds the output folder within a ``with`` block. A new one is the recipe's from the start.

    What it gives raises ``PipelineError`` where the hold was lost.
    """
    output = request.output
    with contextlib.ExitStack() as stack:
        try:
            storage.make_folder(output)
            check = stack.enter_context(lock.held(output))
            if is_left(output):
                raise UsageError(f"--output {output}: a removal began there just now, and was stopped; start again")
            for folder in (output, storage.join(output, record.FOLDER)):
                storage.sweep(folder)
            if not {RECIPE, record.FOLDER} & set(storage.names(output)):
                write_recipe(request, Finished())
        except OSError as error:
            if error.errno in (SPACE, DISK):
                raise
            raise UsageError(f"--output {output}: cannot be written: {_reason(error)}") from None
        yield check


def forget(output: str, stage: Stage) -> None:
    """Removes what is of another run once a stage's tables change: records of it and of later stages, their tables."""
    for name in (MANIFEST, DESCRIBED, *DESCRIPTIONS):
        storage.remove(storage.join(output, name))
    first, *later = stages_from(stage)
    for one in (first, *later):
        record.remove(output, one.name)
    for table in (table for one in later for table in one.tables):
        storage.remove(storage.join(output, table))


def write_recipe(request: Request, finished: Finished) -> None:
    """Writes ``recipe.yaml``: the recipe of a stage that is about to be finished."""
    storage.write_bytes(storage.join(request.output, RECIPE), _recipe_text(request.recipe, finished).encode())


def _recipe_text(recipe: Recipe, finished: Finished) -> str:
    """The recipe as YAML. A stage alone is not given the pool, so its paths are those that the tables were made of."""
    for origin in finished.origins().values():
        if "paths" in origin["depends"].get("input", {}):
            paths = {"paths": origin["depends"]["input"]["paths"]}
            recipe = recipe.model_copy(update={"input": recipe.input.model_copy(update=paths)})
    return to_yaml(recipe)


def describe(request: Request, fit: Fit, finished: Finished, summary: dict[str, Any]) -> bool:
    """Writes what the output says of itself, where that is not what it says now; returns whether it did.

    Where tables are there that the recipe does not fit, and no stage was done, it says what it said.
    """
    output, recipe = request.output, Recipe.model_validate(without_secrets(request.recipe.model_dump()))
    records, whole = _belonging(output, fit, finished)
    lines = [found.summary(skipped=False) for found in records]
    written = {table: what for found in records for table, what in named(found.stage).tables.items()}
    figures = next((found.notes["distribution"] for found in records if "distribution" in found.notes), None)
    files = [file for found in records for file in found.files]
    manifest = {"name": recipe.name, "files": files} if len(records) == len(fit.stages) else None
    gone = removals(output)
    contents = Contents(recipe, lines, written, files, _schemas(output, files), figures is not None, gone)
    texts = {
        README: readme(contents).encode(),
        CROISSANT: croissant(contents).encode(),
        RECIPE: _recipe_text(recipe, finished).encode(),
    }
    same = {name: _content(output, name) == text for name, text in texts.items()}
    if not (whole or same[RECIPE]):
        return False
    described = storage.join(output, DESCRIBED)
    same_tables = storage.read_json(storage.join(output, MANIFEST)) == manifest
    drawn = figures is None or storage.exists(storage.join(output, PLOT))
    if all(same.values()) and same_tables and drawn and storage.exists(described) == (manifest is not None):
        if not storage.exists(storage.join(output, REPORT[0])):  # It went wrong before.
            _write_report(Output.of(output, recipe, records, written))
        return False
    storage.remove(storage.join(output, MANIFEST))
    storage.remove(described)
    plot = None if figures is None else start_drawing(figures, recipe.name)
    summary = summary | ({"removals": gone} if gone else {})
    storage.write_json(storage.join(output, SUMMARY), without_secrets(summary))
    for name, text in texts.items():
        storage.write_bytes(storage.join(output, name), text)
    _write_report(Output.of(output, recipe, records, written))
    if plot is None:
        storage.remove(storage.join(output, PLOT))
    else:
        storage.write_bytes(storage.join(output, PLOT), plot())
    if manifest is not None:
        names = [RECIPE, README, CROISSANT, SUMMARY, *([] if figures is None else [PLOT])]
        names += [f"{record.FOLDER}/{found.stage}.json" for found in records]
        names += [name for name in REMOVED if storage.exists(storage.join(output, name))]
        storage.write_json(described, [_described(output, name) for name in names])
        storage.write_json(storage.join(output, MANIFEST), manifest)
    return True


def _write_report(output: Output) -> None:
    """Writes the report. A finished set is not lost for its page: what goes wrong there is said."""
    try:
        write_report(output)
    except Exception as error:
        say(f"report.html is not written ({type(error).__name__}: {error}); the set is whole, make report tries again")


def _described(output: str, name: str) -> dict[str, Any]:
    """The line of a file that describes the set. The report has none: it may be written again."""
    content = storage.read_bytes(storage.join(output, name))
    return {"path": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _schemas(output: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    """The Arrow schema of each table, by the footer of its first file; not of one whose file is gone."""
    found = {}
    for line in files:
        table, *below = line["path"].split("/")
        if "rows" in line and len(below) == 1 and table not in found:
            path = storage.join(output, line["path"])
            found[table] = tables.file_schema(path) if storage.exists(path) else None
    return {table: schema for table, schema in found.items() if schema is not None}


def _belonging(output: str, fit: Fit, finished: Finished) -> tuple[list[Record], bool]:
    """The records in an output that belong to the recipe and to what is finished, and whether those are all.

    Those of stages that the recipe does not have stay with their tables, and do not count.
    """
    there = finished.copy()
    found = list(filter(None, (load_finished(output, stage) for stage in fit.stages)))
    belonging = []
    for one in found:
        if fit.misfit(one, there) is None:
            there.add(one, (), output)
            belonging.append(one)
    return belonging, len(belonging) == len(found)


def _content(output: str, name: str) -> bytes | None:
    path = storage.join(output, name)
    return storage.read_bytes(path) if storage.exists(path) else None
