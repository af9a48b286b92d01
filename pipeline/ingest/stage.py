"""The stage ``ingest``: input files to the table ``pairs``."""

from collections import Counter
from typing import Any

from pipeline import storage, tables
from pipeline.entries.lists import list_names
from pipeline.errors import PipelineError, UsageError
from pipeline.extract.options import EXTRACTED, KINDS
from pipeline.ingest.plan import Plan, plan
from pipeline.ingest.presets import crawl_input
from pipeline.ingest.read import ROWS_READ, TRUNCATED, UNREADABLE, VALUES_LOST, opened
from pipeline.ingest.spark import KEPT, write_pairs
from pipeline.language.codes import aliases
from pipeline.language.identify import LID_176, load_model, model_file
from pipeline.recipe import Recipe
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account

# What a run takes of the disk, at most: for each byte and row of the input, and each image.
MOST_TIMES, ROW_BYTES, IMAGE_BYTES = 8, 600, 100_000


def run(run: Run) -> Outcome:
    """Writes ``pairs``. Rows in are those that the readers counted; the notes name damaged files with their reason, and
    count by column the values that became null."""
    recipe, spark = run.recipe, run.session
    options = crawl_input(recipe, run.folder(EXTRACTED)) if run.found is None else recipe.input
    found = run.found or plan(options, recipe.language.identify == "column")
    model = None
    if recipe.language.identify == "fasttext" and not recipe.language.match_first:
        file = model_file(recipe.language.model)
        load_model(str(file))
        spark.sparkContext.addFile(file.as_uri())
        model = file.name
    folder, spool = tables.new_folder(run.output, "pairs"), tables.new_folder(run.output, "rows")
    codes = aliases(list_names(recipe))
    written = write_pairs(spark, found, options, recipe.language, model, codes, folder, spool)
    storage.remove(spool)
    dropped, damaged, lost = Counter(), [], {}
    for (reason, file), rows in sorted(written.lines.items(), key=str):
        if reason == VALUES_LOST:
            lost[file] = rows
        elif reason not in (ROWS_READ, KEPT) and rows:
            dropped[reason] += rows
        if reason in (TRUNCATED, UNREADABLE):
            damaged.append({"file": file, "reason": reason, "rows_lost": rows})
    kept, rows_read = (written.lines[reason, None] for reason in (KEPT, ROWS_READ))
    named = {line["file"] for line in damaged}
    splits = [opened(split, options, found) for split in found.splits if split.path in named]
    why = {split.path: split.damage for split in splits if split.damage}
    for line in damaged:
        line["error"] = why.get(line["file"], "ends too early" if line["reason"] == TRUNCATED else "cannot be decoded")
    _check_read(run, found, rows_read, damaged)
    notes = {"files": len(found.files), "damaged_files": damaged, "values_lost": dict(sorted(lost.items()))}
    return Account(rows_read, kept, dict(sorted(dropped.items()))), notes


def _check_read(run: Run, found: Plan, rows: int, damaged: list[dict[str, Any]]) -> None:
    """Raises where there is nothing to go on with, or, with ``--strict``, where something was lost."""
    if damaged and run.strict:
        raise PipelineError(f"--strict: {damaged[0]['file']}: {damaged[0]['error']}")
    if rows == 0:
        raise UsageError(f"--input: no rows in {len(found.files)} file(s); the first is {found.files[0][0]}")


def _check(request: Request) -> Plan | None:
    """Looks at every file of the input, and loads the model. None of a crawl, which ``extract`` reads first."""
    recipe = request.recipe
    if recipe.language.identify == "fasttext":
        load_model(str(model_file(recipe.language.model)))
    if recipe.input.format in KINDS:
        return None
    found = plan(recipe.input, recipe.language.identify == "column")
    damaged = [split for split in found.splits if split.damage]
    if damaged and request.strict:
        raise PipelineError(f"--strict: {damaged[0].path}: {damaged[0].damage}")
    return found


def _depends(recipe: Recipe) -> dict[str, Any]:
    """Of the entry lists only names that are no plain codes make another language of a text; mostly there are none."""
    paths = {"paths"} if recipe.input.format in KINDS else set()  # of crawl files, which are extract's
    given = {"input": recipe.input.model_dump(exclude=paths)}
    if recipe.language.match_first:
        return given | {"language": {"match_first": True}}
    names = {"entries": found} if (found := aliases(list_names(recipe))) else {}
    return given | {"language": recipe.language.told(), **names}


def _files(recipe: Recipe, found: Plan | None) -> list:
    language = recipe.language
    own_model = language.identify == "fasttext" and language.model != LID_176 and not language.match_first
    model = storage.list_files(str(model_file(language.model))) if own_model else []
    return [found.files if found else [], model]


def _most_bytes(recipe: Recipe, found: Plan | None) -> int:
    """A pool of short texts takes the most for its size. Of a crawl ``extract`` has said it."""
    if found is None:
        return 0
    images = recipe.images
    return (
        MOST_TIMES * found.size
        + (ROW_BYTES + IMAGE_BYTES * bool(images.root or images.fetch or images.tars)) * found.rows
    )


STAGE = Stage(
    name="ingest",
    title="Reading the pool",
    tables={"pairs": "every distinct (URL, text) pair of the pool that passed the checks"},
    reads=("extract",),
    run=run,
    depends=_depends,
    check=_check,
    files=_files,
    most_bytes=_most_bytes,
)
