"""The stage ``ingest``: input files to the table ``pairs``."""

from collections import Counter
from dataclasses import replace
from typing import Any

from pipeline import storage, tables
from pipeline.buckets.files import Files
from pipeline.buckets.totals import Totals
from pipeline.entries.lists import list_names
from pipeline.errors import PipelineError, UsageError
from pipeline.extract.options import EXTRACTED, KINDS
from pipeline.ingest.added.spark import add_pairs
from pipeline.ingest.contents import INPUTS, Known, as_table, known_files, refuse_known
from pipeline.ingest.plan import Plan, find_files, plan
from pipeline.ingest.presets import crawl_input
from pipeline.ingest.read import ROWS_READ, TRUNCATED, UNREADABLE, VALUES_LOST, opened
from pipeline.ingest.spark import COLLISION, DUPLICATE, KEPT, SAMPLED, write_pairs
from pipeline.language.codes import aliases
from pipeline.language.identify import LID_176, load_model, model_file
from pipeline.recipe import Input, Recipe
from pipeline.record import Record
from pipeline.run import ADDED, REPLACED, Outcome, Request, Run
from pipeline.secrets import public, without_user
from pipeline.stage import Stage
from pipeline.tables import Account
from pipeline.tombstones.table import Stored

# What a run takes of the disk, at most: for each byte and row of the input, and each image.
MOST_TIMES, ROW_BYTES, IMAGE_BYTES = 8, 600, 100_000


def run(run: Run) -> Outcome:
    """Writes ``pairs``. Rows in are those that the readers counted; the notes name damaged files with their reason, and
    count by column the values that became null."""
    options = crawl_input(run.recipe, [run.folder(EXTRACTED)]) if run.found is None else run.recipe.input
    found = run.found or plan(options, run.recipe.language.identify == "column")
    written = _read(run, found, options, tables.new_folder(run.output, "pairs"))
    _write_inputs(run, found, written, [])
    return _outcome(run, found, options, written)


def _read(run: Run, found: Plan, options: Input, folder: str) -> Totals:
    """Writes the pairs of the planned files into a folder; what was counted."""
    found = replace(found, tombstones=Stored.of(run.output))
    recipe, spark, model = run.recipe, run.session, None
    if recipe.language.identify == "fasttext" and not recipe.language.match_first:
        file = model_file(recipe.language.model)
        load_model(str(file))
        spark.sparkContext.addFile(file.as_uri())
        model = file.name
    spool, codes = tables.new_folder(run.output, "rows"), aliases(list_names(recipe))
    written = write_pairs(spark, found, options, recipe.language, model, codes, folder, spool)
    storage.remove(spool)
    return written


def _write_inputs(run: Run, found: Plan, written: Totals, before: list[Known]) -> None:
    """Writes which files were read: those of the plan, and those before."""
    hashes = {
        path: digest for reason, line in written.lines if reason == SAMPLED for digest, _, path in [line.partition(" ")]
    }
    known = {file.path: file for file in before}
    files = [known.get(public(path)) or Known(public(path), *rest, hashes.get(path)) for path, *rest in found.files]
    tables.write_arrow(as_table(files), run.output, f"pairs/{INPUTS}")


def _outcome(run: Run, found: Plan, options: Input, written: Totals) -> Outcome:
    """The account of what was read."""
    dropped, damaged, lost = Counter(), [], {}
    for (reason, file), rows in sorted(written.lines.items(), key=str):
        if reason == VALUES_LOST:
            lost[file] = rows
        elif reason not in (ROWS_READ, KEPT, SAMPLED) and rows:
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


def add(run: Run, before: Record) -> Outcome | None:
    """Writes ``pairs`` with the pairs of new files among those that are there.

    For ``match`` it also writes the rows that are new or changed, and those whose place they take.
    """
    known, there = known_files(run.before("pairs")), Files.of(run.before("pairs"))
    options, found = _added_input(run.recipe, run.added), run.found
    if found is None:
        new = _new_of_crawl(storage.list_files(run.folder(EXTRACTED)), known)
        if not new:
            return None
        options = crawl_input(run.recipe, new)
        found = _plan_more(options, known, there, run.recipe)
    folder = tables.new_folder(run.output, "read")
    written = _read(run, found, options, folder)
    tables.new_folder(run.output, "pairs")
    changed, replaced = (tables.new_folder(run.output, name) for name in (ADDED, REPLACED))
    merged = add_pairs(run.session, there, folder, found, tables.staging(run.output, "pairs"), changed, replaced)
    _write_inputs(run, found, written, known)
    more, notes = _outcome(run, found, options, written)
    dropped = Counter(before.dropped) + Counter(more.dropped)
    dropped += Counter({reason: merged.lines[reason, None] for reason in (DUPLICATE, COLLISION)})
    notes["damaged_files"] = sorted(
        before.notes["damaged_files"] + notes["damaged_files"], key=lambda line: str((line["reason"], line["file"]))
    )
    lost = Counter(before.notes["values_lost"]) + Counter(notes["values_lost"])
    notes["values_lost"] = dict(sorted(lost.items()))
    return Account(before.rows_in + more.rows_in, merged.lines[KEPT, None], dict(sorted(dropped.items()))), notes


def _added_input(recipe: Recipe, added: tuple[str, ...]) -> Input:
    return recipe.input.model_copy(update={"paths": list(added)})


def _new_of_crawl(extracted: list[tuple[str, int, int]], known: list[Known]) -> list[str]:
    """The files of ``extracted/`` that were not read yet; none where what was read is another now."""
    before = {storage.base_name(file.path): file.file[1:] for file in known}
    there = {storage.base_name(file[0]): file[1:] for file in extracted}
    if any(there.get(name) != file for name, file in before.items()):
        return []
    return [path for path, _, _ in extracted if storage.base_name(path) not in before]


def _plan_more(options: Input, known: list[Known], there: Files, recipe: Recipe) -> Plan:
    """The plan of files whose pairs are added to a table. Raises ``UsageError`` where its columns do not stay as they
    are."""
    schema = there.schema()
    found = plan(options, recipe.language.identify == "column", ("the set", schema))
    for field in tables.arrow_schema(tables.PAIRS, found.passed):
        if field.type != schema.field(field.name).type:
            raise UsageError(
                f"--append {options.paths[0]}: column {field.name!r} is {schema.field(field.name).type} in the set, "
                f"and would be {field.type} with these files; run curate over all files"
            )
    rows = found.rows + there.rows()
    files = tuple(file.file for file in known)
    return replace(
        found, files=tuple(sorted({*files, *found.files})), known=files, rows=rows,
        size=found.size * rows // max(1, found.rows), least_buckets=len(there.paths),
    )  # fmt: skip


def _check(request: Request) -> Plan | None:
    """Looks at every file of the input, and loads the model. None of a crawl, which ``extract`` reads first."""
    recipe = request.recipe
    if recipe.language.identify == "fasttext":
        load_model(str(model_file(recipe.language.model)))
    if recipe.input.format in KINDS:
        return None
    if request.added:
        pairs = storage.join(request.output, "pairs")
        known, options = known_files(pairs), _added_input(recipe, request.added)
        refuse_known(find_files(options.paths), known)
        found = _plan_more(options, known, Files.of(pairs), recipe)
    else:
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
    # In an order that keys have no part in: of files that were added before, those are not known.
    files = sorted(found.files, key=lambda file: (without_user(file[0]), *file)) if found else []
    return [files, model]


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
    beside=(f"pairs/{INPUTS}",),
    reads=("extract",),
    run=run,
    depends=_depends,
    check=_check,
    files=_files,
    add=add,
    known=lambda found: found and replace(found, files=found.known),
    most_bytes=_most_bytes,
)
