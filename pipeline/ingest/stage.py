"""The stage ``ingest``: input files to the table ``pairs``."""

from typing import Any

from pipeline import storage, tables
from pipeline.entries.lists import list_names
from pipeline.errors import PipelineError, UsageError
from pipeline.ingest.plan import Plan, plan
from pipeline.ingest.read import ROWS_READ, TRUNCATED, UNREADABLE, VALUES_LOST
from pipeline.ingest.spark import pairs, read, reasons, sum_copies
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
    if recipe.language.identify == "fasttext":
        file = model_file(recipe.language.model)
        load_model(str(file))
        spark.sparkContext.addFile(file.as_uri())
        model = file.name
    rows = read(spark, run.found, recipe.input, recipe.language, model, aliases(list_names(recipe)))
    rows = rows.transform(pairs, run.found.passed.names)
    rows = rows.transform(tables.keep_only_reasons, ("copies", "source_uid"))
    kept = tables.write_accounted(rows, run.output, "pairs")[None]
    written = tables.read(spark, tables.staging(run.output, "pairs"))
    dropped, damaged, lost, rows_read = {}, [], {}, 0
    for line in reasons(tables.dropped_rows(spark, run.output, "pairs", written.schema)):
        reason, rows_of = line["dropped"], line["copies"]
        if reason == ROWS_READ:
            rows_read = rows_of
        elif reason == VALUES_LOST:
            lost[line["file"]] = rows_of
        elif rows_of:
            dropped[reason] = dropped.get(reason, 0) + rows_of
        if reason in (TRUNCATED, UNREADABLE):
            damaged.append({"file": line["file"], "reason": reason, "rows_lost": rows_of})
    why = {split.path: split.damage for split in run.found.splits if split.damage}
    for line in damaged:
        line["error"] = why.get(line["file"], "ends too early" if line["reason"] == TRUNCATED else "cannot be decoded")
    if repeats := sum_copies(written) - kept:
        dropped["duplicate"] = repeats
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
    language = recipe.language.model_dump()
    if recipe.language.identify != "fasttext":
        del language["model"]
    names = {"entries": found} if (found := aliases(list_names(recipe))) else {}
    return {"input": recipe.input.model_dump(), "language": language, **names}


def _files(recipe: Recipe, found: Plan) -> list:
    language = recipe.language
    own_model = language.identify == "fasttext" and language.model != LID_176
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
