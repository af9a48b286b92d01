"""The stage ``ingest``: input files to the table ``pairs``."""

from pipeline import tables
from pipeline.entries.lists import list_names
from pipeline.ingest.read import ROWS_READ, TRUNCATED, UNREADABLE, VALUES_LOST
from pipeline.ingest.spark import pairs, read, reasons, sum_copies
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
    rows = read(spark, run.plan, recipe.input, recipe.language, model, aliases(list_names(recipe)))
    rows = rows.transform(pairs, run.plan.passed.names)
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
    why = {split.path: split.damage for split in run.plan.splits if split.damage}
    for line in damaged:
        line["error"] = why.get(line["file"], "ends too early" if line["reason"] == TRUNCATED else "cannot be decoded")
    if repeats := sum_copies(written) - kept:
        dropped["duplicate"] = repeats
    notes = {"files": len(run.plan.files), "damaged_files": damaged, "values_lost": dict(sorted(lost.items()))}
    return Account(rows_read, kept, dict(sorted(dropped.items()))), notes
