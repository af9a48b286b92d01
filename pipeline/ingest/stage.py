"""The stage ``ingest``: input files to the table ``pairs``."""

from collections import Counter
from typing import Any

from pipeline import storage, tables
from pipeline.entries.lists import list_names
from pipeline.errors import PipelineError, UsageError
from pipeline.ingest.plan import Plan, plan
from pipeline.ingest.read import ROWS_READ, TRUNCATED, UNREADABLE, VALUES_LOST, opened
from pipeline.ingest.spark import KEPT, write_pairs
from pipeline.language.codes import aliases
from pipeline.language.identify import LID_176, load_model, model_file
from pipeline.recipe import Recipe
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account


def run(run: Run) -> Outcome:
    """Writes ``pairs``. Rows in are those that the readers counted; the notes name damaged files with their reason, and
    count by column the values that became null."""
    recipe, spark = run.recipe, run.session
    model = None
    if recipe.language.identify == "fasttext" and not recipe.language.match_first:
        file = model_file(recipe.language.model)
        load_model(str(file))
        spark.sparkContext.addFile(file.as_uri())
        model = file.name
    folder, spool = tables.new_folder(run.output, "pairs"), tables.new_folder(run.output, "rows")
    codes = aliases(list_names(recipe))
    found = write_pairs(spark, run.found, recipe.input, recipe.language, model, codes, folder, spool)
    storage.remove(spool)
    dropped, damaged, lost = Counter(), [], {}
    for (reason, file), rows in sorted(found.lines.items(), key=str):
        if reason == VALUES_LOST:
            lost[file] = rows
        elif reason not in (ROWS_READ, KEPT) and rows:
            dropped[reason] += rows
        if reason in (TRUNCATED, UNREADABLE):
            damaged.append({"file": file, "reason": reason, "rows_lost": rows})
    kept, rows_read = (found.lines[reason, None] for reason in (KEPT, ROWS_READ))
    named = {line["file"] for line in damaged}
    splits = [opened(split, recipe.input, run.found) for split in run.found.splits if split.path in named]
    why = {split.path: split.damage for split in splits if split.damage}
    for line in damaged:
        line["error"] = why.get(line["file"], "ends too early" if line["reason"] == TRUNCATED else "cannot be decoded")
    _check_read(run, rows_read, damaged)
    notes = {"files": len(run.found.files), "damaged_files": damaged, "values_lost": dict(sorted(lost.items()))}
    return Account(rows_read, kept, dict(sorted(dropped.items()))), notes


def _check_read(run: Run, rows: int, damaged: list[dict[str, Any]]) -> None:
    """Raises where there is nothing to go on with, or, with ``--strict``, where something was lost."""
    files = run.found.files
    if damaged and run.strict:
        raise PipelineError(f"--strict: {damaged[0]['file']}: {damaged[0]['error']}")
    if rows == 0:
        raise UsageError(f"--input: no rows in {len(files)} file(s); the first is {files[0][0]}")


def _check(request: Request) -> Plan:
    """Looks at every file of the input, and loads the model."""
    recipe = request.recipe
    found = plan(recipe.input, recipe.language.identify == "column")
    if recipe.language.identify == "fasttext":
        load_model(str(model_file(recipe.language.model)))
    damaged = [split for split in found.splits if split.damage]
    if damaged and request.strict:
        raise PipelineError(f"--strict: {damaged[0].path}: {damaged[0].damage}")
    return found


def _depends(recipe: Recipe) -> dict[str, Any]:
    """Of the entry lists only names that are no plain codes make another language of a text; mostly there are none."""
    given = {"input": recipe.input.model_dump()}
    if recipe.language.match_first:
        return given | {"language": {"match_first": True}}
    names = {"entries": found} if (found := aliases(list_names(recipe))) else {}
    return given | {"language": recipe.language.told(), **names}


def _files(recipe: Recipe, found: Plan) -> list:
    language = recipe.language
    own_model = language.identify == "fasttext" and language.model != LID_176 and not language.match_first
    model = storage.list_files(str(model_file(language.model))) if own_model else []
    return [found.files, model]


STAGE = Stage(
    name="ingest",
    title="Reading the pool",
    job="ingest",
    tables={"pairs": "every distinct (URL, text) pair of the pool that passed the checks"},
    run=run,
    depends=_depends,
    check=_check,
    files=_files,
)
