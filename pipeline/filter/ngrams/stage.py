"""The rule ``filter.ngrams`` in a run: counts, the cut-off, the file of hashes, and the pairs held against it."""

import tempfile
import uuid
from pathlib import Path
from typing import Any

from pipeline import tables
from pipeline.buckets.files import Files
from pipeline.filter.ngrams.known import write_hashes
from pipeline.filter.ngrams.spark import by_ngrams, count_ngrams, frequent, ranked
from pipeline.filter.order import row_at
from pipeline.run import Run


def without_rare(run: Run, rows: tables.DataFrame) -> tuple[tables.DataFrame, dict[str, Any]]:
    """The rows after the rule, and what is noted. The frequent n-grams are a file of the session meanwhile."""
    options = run.recipe.filter.ngrams
    counts = run.cut(count_ngrams(run.table("pairs")), "ngrams")
    least, last = options.min_count, None
    if options.top is not None:
        run.cut(ranked(counts), "ranked")
        found = row_at(Files.of(tables.staging(run.output, "ranked")).paths, options.top - 1)
        least, last = (found["count"], found["ngram"]) if found else (1, None)
    run.cut(frequent(counts, least, last), "frequent")
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        file = Path(folder) / f"ngrams-{uuid.uuid4().hex}.hashes"
        known = write_hashes(Files.of(tables.staging(run.output, "frequent")).paths, file)
        run.session.sparkContext.addFile(file.as_uri())
        left = run.cut(by_ngrams(rows, file.name), "common")
    distinct = tables.count_rows(tables.staging(run.output, "ngrams"))
    return left, {"ngrams": {"distinct": distinct, "frequent": known, "least": least}}
