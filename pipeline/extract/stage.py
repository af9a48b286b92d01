"""The stage ``extract``: crawl files (WAT or WARC) to image-text pairs, which ``ingest`` then takes for the pool."""

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage, tables
from pipeline.errors import PipelineError, UsageError
from pipeline.extract.inputs import CrawlFile, crawl_files
from pipeline.extract.options import EXTRACTED, KINDS
from pipeline.extract.spark import extract_files
from pipeline.extract.watch import UNREADABLE
from pipeline.ingest.contents import Known, refuse_known
from pipeline.paths import is_url, open_filesystem
from pipeline.recipe import Input, Recipe
from pipeline.record import Record
from pipeline.run import Outcome, Request, Run
from pipeline.stage import Stage
from pipeline.tables import Account
from pipeline.tombstones.table import Stored

# What of ``input`` is for tables alone.
OF_TABLES = ("preset", "columns", "pass_through")
NOT_GIVEN = "files_not_given"
MOST_TIMES = 3  # the bytes of a crawl file that a run over its pairs takes of the disk at most
NAMED = 100  # damaged files in the summary; the table has all.


def run(run: Run) -> Outcome:
    """Adds what is missing to ``extracted/`` and writes ``crawl_files``. Rows in are links: an image and a text.

    A run that was killed goes on with the files that are not done; those of another making, or no longer of the input,
    are removed at the end. Files that were not given whole are asked for again by the next run.
    """
    recipe, folder = run.recipe, storage.join(run.output, EXTRACTED)
    files, others, _ = run.found
    kind, making = recipe.input.format, recipe.extract.model_dump(exclude={"prefix"})
    named = {file.name({"kind": kind} | making): file for file in files}
    if run.force:
        storage.remove(folder)
    storage.make_folder(folder)
    done = set(storage.names(folder)) & set(named)
    found = extract_files(run.session, named, done, kind, recipe.extract, folder, Stored.of(run.output))
    damaged = [
        {"file": row["path"], "error": row["damage"]}
        for row in found.filter(pc.is_valid(found["damage"])).select(["path", "damage"]).to_pylist()
    ]
    if damaged and run.strict:
        raise PipelineError(f"--strict: {damaged[0]['file']}: {damaged[0]['error']}")
    links, pairs = _sum(found, "links"), _sum(found, "pairs")
    if pairs == 0:
        why = f"; {damaged[0]['file']}: {damaged[0]['error']}" if damaged else ""
        raise UsageError(f"--input: no image with a text in {len(files)} {kind} file(s){why}")
    tables.write_arrow(found, run.output, "crawl_files")
    for name in set(storage.names(folder)) - set(named):
        storage.remove(storage.join(folder, name))
    notes = {
        "files": len(files),
        "files_read_before": len(done),
        "files_of_other_names": others,
        "pages": _counts(found, "pages"),
        "pairs_of_relative_urls": _sum(found, "relative"),
        NOT_GIVEN: sum(line["error"].startswith(UNREADABLE) for line in damaged),
        "damaged": len(damaged),
        "damaged_files": damaged[:NAMED],
    }
    return Account(links, pairs, _counts(found, "dropped")), notes


def _sum(found: pa.Table, column: str) -> int:
    return pc.sum(found[column]).as_py() or 0


def _counts(found: pa.Table, column: str) -> dict[str, int]:
    """The sums of a column of counts by reason."""
    total: Counter[str] = Counter()
    for counts in found[column].to_pylist():
        total.update(dict(counts))
    return dict(sorted(total.items()))


class Crawl(NamedTuple):
    """The crawl files of an input, the number of files of other names, and those of the files that are not added."""

    files: list[CrawlFile]
    others: int
    known: list[CrawlFile]


def _check(request: Request) -> Crawl:
    """The files of the input; nothing is opened, but that their stores are known is seen."""
    options = request.recipe.input
    if options.format not in KINDS:
        raise UsageError(f"input.format: found {options.format}; pairs are extracted from {' or '.join(KINDS)}")
    for key in OF_TABLES:
        if getattr(options, key) != Input.model_fields[key].get_default(call_default_factory=True):
            raise UsageError(f"input.{key}: is for tables; with input.format {options.format} leave it out")
    files, others = crawl_files(options.paths, options.format, request.recipe.extract.prefix)
    for path in {file.path.partition("://")[0]: file.path for file in files if is_url(file.path)}.values():
        open_filesystem(path)
    if not request.added:
        return Crawl(files, others, files)
    before = [path for path in options.paths if path not in request.added]
    known, new = (
        crawl_files(list(paths), options.format, request.recipe.extract.prefix)[0] for paths in (before, request.added)
    )
    refuse_known(new, [Known(*file, None) for file in known])
    return Crawl(files, others, known)


def _depends(recipe: Recipe) -> dict[str, Any]:
    return {"input": recipe.input.model_dump(include={"format", "paths"}), "extract": recipe.extract.model_dump()}


def _missing(record: Record) -> int:
    return record.notes.get(NOT_GIVEN, 0)


def _files(recipe: Recipe, found: Crawl) -> list:
    return found.files


def _most_bytes(recipe: Recipe, found: Crawl) -> int:
    """Pairs are a small part of a page, and of what a crawl file says of it."""
    return MOST_TIMES * sum(file.size for file in found.files)


STAGE = Stage(
    name="extract",
    title="Reading the crawl",
    tables={"crawl_files": "every crawl file, and what was found in it"},
    beside=(EXTRACTED,),
    run=run,
    depends=_depends,
    in_recipe=lambda recipe: recipe.input.format in KINDS,
    check=_check,
    files=_files,
    missing=_missing,
    add=lambda of, before: run(of),  # The store has what was read before.
    known=lambda found: found._replace(files=found.known),
    most_bytes=_most_bytes,
)
