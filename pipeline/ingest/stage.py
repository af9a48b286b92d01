"""The stage ``ingest``: input files to the table ``pairs``."""

from collections import Counter

from pipeline import storage, tables
from pipeline.entries.lists import list_names
from pipeline.ingest.read import ROWS_READ, TRUNCATED, UNREADABLE, VALUES_LOST, opened
from pipeline.ingest.spark import KEPT, write_pairs
from pipeline.language.codes import aliases
from pipeline.language.identify import load_model, model_file
from pipeline.run import Outcome, Run
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
    folder, spool = tables.new_folder(run.output, "pairs"), tables.new_folder(run.output, "rows")
    codes = aliases(list_names(recipe))
    found = write_pairs(spark, run.plan, recipe.input, recipe.language, model, codes, folder, spool)
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
    splits = [opened(split, recipe.input, run.plan) for split in run.plan.splits if split.path in named]
    why = {split.path: split.damage for split in splits if split.damage}
    for line in damaged:
        line["error"] = why.get(line["file"], "ends too early" if line["reason"] == TRUNCATED else "cannot be decoded")
    notes = {"files": len(run.plan.files), "damaged_files": damaged, "values_lost": dict(sorted(lost.items()))}
    return Account(rows_read, kept, dict(sorted(dropped.items()))), notes
