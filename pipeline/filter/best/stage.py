"""The rule ``filter.best`` in a run."""

from typing import Any

import pyarrow as pa

from pipeline import storage, tables
from pipeline.buckets.files import Files
from pipeline.errors import UsageError
from pipeline.filter.best.spark import by_best, ranked
from pipeline.filter.columns import columns_of
from pipeline.filter.order import row_at
from pipeline.recipe import Recipe
from pipeline.recipe_file import found_path
from pipeline.run import Run


def best_share(run: Run, rows: tables.DataFrame) -> tuple[tables.DataFrame, dict[str, Any]]:
    """The rows (which were cut) after the rule, and what is noted."""
    options = run.recipe.filter.best
    run.cut(ranked(rows, options.column), "ranked")
    folder = tables.staging(run.output, "ranked")
    scored = tables.count_rows(folder)
    keep = round(options.share * scored)
    last = row_at(Files.of(folder).paths, keep - 1) if keep else None
    noted = {"scored": scored, "kept": keep, "least": last and last["score"]}
    return by_best(rows, options.column, last), {"best": noted}


def check_column(recipe: Recipe) -> None:
    """Raises ``UsageError`` where the column of scores is nowhere."""
    known = {*tables.CURATED.names, *recipe.input.pass_through}
    for given in recipe.filter.columns:
        try:
            known.update(columns_of([file for file, _, _ in storage.list_files(found_path(given))]).names)
        except (OSError, pa.ArrowException) as error:
            raise UsageError(f"filter.columns: {given}: {str(error).splitlines()[0]}") from None
    if (column := recipe.filter.best.column) not in known:
        raise UsageError(f"filter.best.column: no column {column!r} in filter.columns or input.pass_through")
