"""The main path: the stages of a recipe in order, what is done and what is skipped.

``curate`` looks at the whole configuration before anything starts, then runs each stage whose record in the output does
not fit the recipe, the input and the stage before it. A stage that ran takes the place of its former tables and of all
later ones. The manifest is written last.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline import lock, record, storage, tables
from pipeline.balance import stage as balance
from pipeline.dedupe import stage as dedupe
from pipeline.entries.lists import EntryList, list_names, load_lists
from pipeline.errors import PipelineError, UsageError
from pipeline.filter import stage as filtering
from pipeline.images import stage as images
from pipeline.ingest import stage as ingest
from pipeline.ingest.plan import Plan, plan
from pipeline.language.codes import aliases
from pipeline.language.identify import load_model, model_file
from pipeline.match import stage as match
from pipeline.progress import results, running, say, summary_table
from pipeline.recipe import Recipe, filters
from pipeline.recipe_file import parse, to_yaml
from pipeline.record import Record, fingerprint
from pipeline.report.readme import readme
from pipeline.run import LISTS, Outcome, Run
from pipeline.session import open_session
from pipeline.shards import stage as shards
from pipeline.shards.folder import is_there as shards_are_there


@dataclass(frozen=True)
class Stage:
    """A stage: its tables, the stages whose tables it reads, its function, and what it shows while it runs."""

    tables: tuple[str, ...]
    after: tuple[str, ...]
    run: Callable[[Run], Outcome]
    title: str
    beside: tuple[str, ...] = ()  # folders of files that belong to a table and that its stage looks after itself


STAGES = {
    "ingest": Stage(("pairs",), (), ingest.run, "Reading the pool"),
    "match": Stage(("matched",), ("ingest",), match.run, "Matching texts with entries", (f"matched/{LISTS}",)),
    "dedupe": Stage(("clusters",), ("match",), dedupe.run, "Looking for near-duplicates"),
    "balance": Stage(("entry_counts", "thresholds", "curated"), ("match", "dedupe"), balance.run, "Balancing"),
    "images": Stage(("images",), ("balance",), images.run, "Fetching images", (images.FETCHED,)),
    "filter": Stage(("filtered", "image_hashes"), ("ingest", "balance", "images"), filtering.run, "Filtering"),
    "rebalance": Stage(
        ("final_entry_counts", "final_thresholds", "final"), ("balance", "filter"), balance.rebalance, "Balancing again"
    ),
    "shards": Stage(("shards",), ("balance", "images", "filter", "rebalance"), shards.run, "Writing shards"),
}
JOBS = {"images": "fetch_images", "filter": "filter_images"}  # that are not named like their stage
OURS = {"recipe.yaml", "summary.json", "manifest.json", "README.md", "distribution.png", "what-if.json", "what-if.png",
        record.FOLDER, tables.STAGING, *(t for s in STAGES.values() for t in (*s.tables, *s.beside))}  # fmt: skip


def stages_of(recipe: Recipe) -> list[str]:
    """The stages that a recipe has: images only where they are fetched, shards only where images are at hand."""
    at_hand = {
        "images": recipe.images.fetch,
        "filter": filters(recipe),
        "rebalance": recipe.rebalance is not None,
        "shards": bool(recipe.images.fetch or recipe.images.root or recipe.images.tars),
    }
    return [name for name in STAGES if at_hand.get(name, True)]


def stages_before(name: str, recipe: Recipe) -> list[str]:
    """The stages of a recipe whose tables a stage reads."""
    return [before for before in STAGES[name].after if before in stages_of(recipe)]


@dataclass
class _Job:
    """The arguments of ``curate`` and what was found before anything started."""

    recipe: Recipe
    output: str
    source: str
    plan: Plan | None
    lists: dict[str, EntryList] | None
    force: bool
    files: list  # with images, or that the filter reads


def curate(
    recipe: Recipe,
    output: str,
    stages: list[str] | None = None,
    source: str | None = None,
    force: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Runs the stages of a recipe (all by default) into ``output`` and returns the summary that it wrote there.

    ``source``: the output folder with the tables of the stages before (``output`` by default). ``strict``: fail on a
    damaged input file instead of going on without it. Raises ``UsageError`` before any work where the configuration or
    the input is wrong, ``PipelineError`` where a stage fails.
    """
    started = time.monotonic()
    wanted = stages or stages_of(recipe)
    given, output = output, storage.absolute(output)
    job = _prepare(recipe, output, storage.absolute(source) if source else output, wanted, force, strict)
    with _held(job):
        done: list[dict[str, Any]] = []
        for name in wanted:
            print_of = _fingerprint(job, name)
            former = record.load(output, name)
            fits = former is not None and former.fingerprint == print_of and not force
            there = all(storage.exists(storage.join(output, t)) for t in (*STAGES[name].tables, *STAGES[name].beside))
            if fits and there and (name != "shards" or shards_are_there(recipe)):
                done.append(former.summary(skipped=True))
                continue
            done.append(_run_stage(job, name, print_of, strict).summary(skipped=False))
        return _finish(job, given, done, time.monotonic() - started)


def _prepare(recipe: Recipe, output: str, source: str, wanted: list[str], force: bool, strict: bool) -> _Job:
    """Looks at everything that can be wrong with the configuration."""
    check_output(output, recipe, force)
    planned = lists = None
    if "ingest" in wanted:
        planned = plan(recipe.input, recipe.language.identify == "column")
        if recipe.language.identify == "fasttext":
            load_model(str(model_file(recipe.language.model)))
        damaged = [split for split in planned.splits if split.damage]
        if strict and damaged:
            raise PipelineError(f"--strict: {damaged[0].path}: {damaged[0].damage}")
    if "match" in wanted:
        lists = load_lists(recipe)
    if {"images", "shards"} & set(wanted):
        shards.check_shards(recipe, "images" in wanted, output, source)
    balance.check_domains(recipe)
    if "filter" in wanted:
        filtering.check_filter(recipe)
    if "rebalance" in wanted and recipe.rebalance is None:
        raise UsageError("rebalance: missing; balancing again needs rebalance.t, tail_share or size")
    for name in wanted:
        for before in stages_before(name, recipe):
            if before not in wanted and _record(source, output, before) is None:
                missing = ", ".join(STAGES[before].tables)
                raise UsageError(
                    f"--input {source}: no finished {missing}; run jobs/{JOBS.get(before, before)}.py first"
                )
    return _Job(recipe, output, source, planned, lists, force, filtering.files_of(recipe))


@contextlib.contextmanager
def _held(job: _Job) -> Iterator[None]:
    """Holds the output folder, with the recipe in it, within a ``with`` block."""
    with contextlib.ExitStack() as stack:
        try:
            storage.make_folder(job.output)
            stack.enter_context(lock.held(job.output))
            storage.write_bytes(storage.join(job.output, "recipe.yaml"), to_yaml(job.recipe).encode())
        except OSError as error:
            raise UsageError(f"--output {job.output}: cannot be written: {error.strerror or error}") from None
        yield


def check_output(output: str, recipe: Recipe, force: bool) -> None:
    """Refuses a folder that holds something else, or (without ``--force``) the output of another recipe."""
    try:
        here = storage.names(output)
    except OSError:
        raise UsageError(f"--output {output}: not a folder") from None
    if foreign := [name for name in here if name not in OURS and not name.startswith(".")]:
        raise UsageError(f"--output {output}: holds {foreign[0]!r}, which is not of this project; give an empty folder")
    if "recipe.yaml" in here and not force:
        file = storage.join(output, "recipe.yaml")
        text = storage.read_bytes(file).decode("utf-8", "replace")
        found = parse(text, f"--output {output}: recipe.yaml", texts=True)
        name = found.get("name", "?") if isinstance(found, dict) else "?"
        if name != recipe.name:
            raise UsageError(
                f"--output {output}: holds the output of recipe {name!r}, not {recipe.name!r}; "
                "give another folder, or --force to replace it"
            )


def _record(source: str, output: str, name: str) -> Record | None:
    """The record of a stage whose tables are read: in the source, else in the output, as ``Run.folder``."""
    return record.load(source, name) or record.load(output, name)


def _fingerprint(job: _Job, name: str) -> str:
    """What the tables of a stage depend on: its part of the recipe, its input, and the stage before."""
    recipe = job.recipe.model_dump()
    sources = job.recipe.images.model_dump(include=images.SOURCES)
    own = {
        "ingest": lambda: [recipe["input"], recipe["language"], job.plan.files, aliases(list_names(job.recipe))],
        "match": lambda: [recipe["seed"], recipe["match"], recipe["language"]["identify"] == "none",
                          {key: found.entries.to_pylist() for key, found in job.lists.items()}],
        "dedupe": lambda: [recipe["dedupe"] if recipe["dedupe"]["scope"] != "none" else None],
        "balance": lambda: [recipe["seed"], recipe["balance"], balance.domain_files(job.recipe.balance)],
        "images": lambda: [job.recipe.images.model_dump(include={*images.MAKING, "retries"})],
        "filter": lambda: [recipe["filter"], sources, recipe["dedupe"], recipe["match"], job.files],
        "rebalance": lambda: [recipe["rebalance"], recipe["balance"]["texts_per_image"], recipe["balance"]["files"],
                              balance.domain_files(job.recipe.rebalance)],
        "shards": lambda: [recipe["name"], sources, recipe["shards"], job.files],
    }[name]()  # fmt: skip
    before = [_record(job.source, job.output, stage).fingerprint for stage in stages_before(name, job.recipe)]
    return fingerprint(name, own, *before)


def _run_stage(job: _Job, name: str, print_of: str, strict: bool) -> Record:
    stage, output = STAGES[name], job.output
    with running("Starting Spark"):
        session = open_session()
    started = time.monotonic()
    with running(stage.title, session):
        account, notes = stage.run(Run(job.recipe, output, job.source, session, job.plan, job.lists, job.force))
        if strict and notes.get("damaged_files"):
            first = notes["damaged_files"][0]
            raise PipelineError(f"--strict: {first['file']}: {first['error']}")
        if not account.balanced():
            raise PipelineError(
                f"{name}: {account.rows_in:,} rows in, but {account.rows_out:,} out and {account.dropped} dropped: "
                "rows are lost or doubled; this is a bug, please report it"
            )
        if name == "ingest" and account.rows_in == 0:
            raise UsageError(f"--input: no rows in {len(job.plan.files)} file(s); the first is {job.plan.files[0][0]}")
        _forget_later(output, name)
        tables.commit(output, *stage.tables)
        files = tables.describe_files(session, output, [*stage.tables, *stage.beside])
    storage.remove(storage.join(output, tables.STAGING))
    finished = Record(
        name, print_of, account.rows_in, account.rows_out, account.dropped, time.monotonic() - started, files, notes
    )
    record.save(output, finished)
    return finished


def _forget_later(output: str, name: str) -> None:
    """Removes the manifest, and the records and tables of this and all later stages: they are of another run."""
    storage.remove(storage.join(output, "manifest.json"))
    names = list(STAGES)
    for later in names[names.index(name) :]:
        record.remove(output, later)
        for table in STAGES[later].tables if later != name else ():
            storage.remove(storage.join(output, table))


def _finish(job: _Job, given: str, done: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Writes README, plot, summary and, where all stages of the recipe are finished, the manifest; shows the table."""
    output, recipe = job.output, job.recipe
    records = {name: found for name in stages_of(recipe) if (found := record.load(output, name))}
    summary = {"recipe": recipe.name, "output": given, "seconds": round(seconds, 3), "stages": done}
    changed = not all(stage["skipped"] for stage in done)
    if changed:
        if "balance" in records:
            from pipeline.report.plots import distribution_plot

            figures = records["balance"].notes["distribution"]
            storage.write_bytes(storage.join(output, "distribution.png"), distribution_plot(figures, recipe.name))
        written = [table for name in records for table in STAGES[name].tables]
        lines = [found.summary(skipped=False) for found in records.values()]
        storage.write_bytes(
            storage.join(output, "README.md"), readme(recipe, lines, "balance" in records, written).encode()
        )
        storage.write_json(storage.join(output, "summary.json"), summary)
    if (
        job.source == output
        and len(records) == len(stages_of(recipe))
        and (changed or not storage.exists(storage.join(output, "manifest.json")))
    ):
        files = [file for found in records.values() for file in found.files]
        storage.write_json(storage.join(output, "manifest.json"), {"name": recipe.name, "files": files})
    results.print(summary_table(done))
    for stage in done:
        if "bands" in stage:
            rows, threshold = stage["rows_per_band"], recipe.dedupe.threshold
            say(f"MinHash: {stage['bands']} bands of {rows} rows for the threshold {threshold}")
        for damaged in stage.get("damaged_files", []):
            say(f"damaged: {damaged['file']}: {damaged['error']}")
    if not changed:
        say(f"Nothing to do: {given} is up to date with the recipe and its input; --force (FORCE=1) redoes it.")
    say(f"Results: {given}")
    return summary
