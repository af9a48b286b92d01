"""The stage ``filter``: ``curated`` to ``filtered``, and the images that were looked at to ``image_hashes``."""

import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage, tables
from pipeline.buckets.files import Files
from pipeline.buckets.spark import write_rows
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.filter.best.stage import best_share, check_column
from pipeline.filter.duplicates.near import Known
from pipeline.filter.duplicates.spark import by_duplicates
from pipeline.filter.evaluation import EvaluationFiles, find_sets
from pipeline.filter.ngrams.stage import without_rare
from pipeline.filter.semantic.stage import check_embeddings, without_duplicates
from pipeline.filter.spark import (
    by_blocklist,
    by_condition,
    by_evaluation_images,
    by_evaluation_texts,
    by_frequency,
    by_images,
    by_place,
    by_size,
    by_text,
    counted_by_set,
    hash_images,
    image_facts,
    near_texts,
    seen,
    to_look_at,
    with_columns,
)
from pipeline.filter.texts import KnownTexts
from pipeline.match.engine import build_file
from pipeline.recipe import Recipe, filters
from pipeline.recipe_file import found_path, local_path
from pipeline.run import Outcome, Request, Run
from pipeline.shards.content import tar_content
from pipeline.stage import Stage
from pipeline.tables import Account
from pipeline.tars.index import IMAGE, samples_of
from pipeline.tars.spark import with_places
from pipeline.tars.stage import SOURCES, image_content, image_places, images_at_a_time

ROWS_PER_FILE = 1_000_000


def run(run: Run) -> Outcome:
    """Writes ``filtered``, and ``image_hashes`` with the images that were looked at: none without rules for images."""
    recipe, options = run.recipe, run.recipe.filter
    curated, rows_in = Files.of(run.folder("curated")), tables.count_rows(run.folder("curated"))
    notes: dict[str, Any] = {}
    sets = find_sets(options)
    located, content = image_places(run, curated, rows_in), image_content(recipe.images)
    places, refused = (None, {}) if located is None else (located.places, located.refused)
    rows = with_places(run.session, curated, places, by_uid=bool(recipe.images.tars))
    rows = by_place(rows) if recipe.images.fetch or recipe.images.tars else rows
    for columns in options.columns:
        rows = with_columns(rows, columns, storage.list_files(found_path(columns)))
    if options.where is not None:
        rows = by_condition(rows, options.where)
    rows = rows.transform(by_text, options)
    if options.images_per_text or options.texts_per_image:
        rows = by_frequency(rows, run.table("pairs"), options)
    if options.ngrams:
        rows, noted = without_rare(run, rows)
        notes |= noted
    if options.blocklist:
        rows = _without_blocked(run, rows)
    known_texts = {name: KnownTexts(found.texts, recipe.dedupe) for name, found in sets.items() if found.texts}
    if known_texts:
        near = run.cut(near_texts(rows, known_texts), "near-texts")
        notes["evaluation_texts"] = counted_by_set(near)
        notes["evaluation_texts_too_short"] = {name: known.left_alone for name, known in known_texts.items()}
        rows = by_evaluation_texts(rows, near)
    rows = run.cut(rows, "judged")
    if options.best:
        rows, noted = best_share(run, rows)
        notes |= noted
    if options.semantic:
        rows, noted = without_duplicates(run, rows)
        notes |= noted

    images = _look(run, rows, content, sets, notes)
    rows = by_images(rows, images, curated.schema().names)
    dropped = tables.write_accounted(tables.keep_only_reasons(rows), run.output, "passed")
    kept = dropped.pop(None)
    passed = tables.read(run.session, tables.staging(run.output, "passed")).select(*curated.schema().names)
    files = recipe.balance.files or max(1, -(-kept // ROWS_PER_FILE))
    write_rows(passed, tables.staging(run.output, "filtered"), files)
    if refused:
        notes["refused_members"] = refused
    return Account(rows_in, kept, dict(sorted(dropped.items()))), notes


def _look(run: Run, rows, content: Callable | None, sets: dict[str, EvaluationFiles], notes: dict[str, Any]):
    """Writes ``image_hashes``: the facts of the images of the rows that are left, and why some of them are dropped."""
    options, most_pixels = run.recipe.filter, run.recipe.images.most_pixels
    images = to_look_at(rows)
    if content is None or not (options.looks() or run.recipe.images.root):
        images = images.limit(0)
    images = run.cut(image_facts(images, content, most_pixels, images_at_a_time(run)), "facts")
    images = images.transform(by_size, options)
    hashed, unread = _known_images(run, sets, most_pixels)
    notes |= unread
    if hashed:
        images = run.cut(by_evaluation_images(images, hashed), "held-against")
        notes["evaluation_images"] = counted_by_set(images)
    return tables.write(by_duplicates(images, options, run.cut).transform(seen), run.output, "image_hashes")


def _known_images(
    run: Run, sets: dict[str, EvaluationFiles], most_pixels: int
) -> tuple[dict[str, tuple[Known, set[str]]], dict[str, Any]]:
    """The hashes of each evaluation set that has images, and its images that could not be read."""
    files = []
    for name, found in sets.items():
        files += [(name, path, 0, -1) for path in found.images]
        for tar in found.tars:
            files += [(name, tar, row[IMAGE[0]], row[IMAGE[1]]) for row in samples_of(tar)[0].to_pylist()]
    hashed = pa.table({"evaluation": pa.array([], pa.string()), "dropped": pa.array([], pa.string()),
                       "phash": pa.array([], pa.int64())})  # fmt: skip
    if files:
        hashed = hash_images(run.session, files, evaluation_content, most_pixels)
    known, unread = {}, {}
    distance = run.recipe.filter.evaluation_distance
    for name, found in sets.items():
        rows = hashed.filter(pc.equal(hashed["evaluation"], name))
        hashes = np.concatenate([rows["phash"].drop_null().to_numpy(), np.array(found.phashes, np.int64)])
        if len(hashes) or found.sha256:
            known[name] = (Known(hashes.astype(np.int64), distance), set(found.sha256))
        if missed := rows.num_rows - len(rows["phash"].drop_null()):
            unread[name] = missed
    return known, {"evaluation_images_unreadable": unread} if unread else {}


def evaluation_content(row: dict[str, Any]) -> bytes:
    """The bytes of an evaluation image: a file, or a member of a tar."""
    return storage.read_bytes(row["tar"]) if row["image_size"] < 0 else tar_content(row)


def _without_blocked(run: Run, rows):
    """The rows after the block-lists, whose lower-cased matchers are files of the session while they are looked at."""
    names = {}
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        for name, path in sorted(run.recipe.filter.blocklist.items()):
            entries = pc.utf8_lower(load_list(name, local_path(path)).entries).unique()
            file = Path(folder) / f"block-{name}-{uuid.uuid4().hex}.fast"
            build_file(entries, run.recipe.match.form, "fast", file)
            run.session.sparkContext.addFile(file.as_uri())
            names[name] = file.name
        return run.cut(by_blocklist(rows, names), "unblocked")


def _files(recipe: Recipe, _: None) -> list:
    options = recipe.filter
    read = [*recipe.images.tars, *options.columns, *options.blocklist.values()]
    read += options.semantic.embeddings if options.semantic else []
    read += [path for found in options.evaluation.values() for path in (*found.images, *found.texts)]
    return [storage.list_files(found_path(path)) for path in read]


def _check(request: Request) -> None:
    """Raises ``UsageError`` where a rule cannot be followed with what the recipe has."""
    recipe, options = request.recipe, request.recipe.filter
    if options.looks() and not (recipe.images.fetch or recipe.images.tars or recipe.images.root):
        raise UsageError("filter: rules for images need images.fetch, images.tars or images.root")
    for name, path in options.blocklist.items():
        if not local_path(path).is_file():
            raise UsageError(f"filter.blocklist.{name}: {path}: no such file")
    if missing := [folder for folder in options.columns if not storage.list_files(found_path(folder))]:
        raise UsageError(f"filter.columns: {missing[0]}: no files there")
    if options.best:
        check_column(recipe)
    if options.semantic:
        check_embeddings(recipe)
    find_sets(options)


def _depends(recipe: Recipe) -> dict[str, Any]:
    """Texts of evaluation sets are compared as near-duplicates are, block-lists matched in the form of entries."""
    return {
        "filter": recipe.filter.model_dump(),
        "images": recipe.images.model_dump(include=SOURCES),
        "dedupe": recipe.dedupe.model_dump(),
        "match": {"form": recipe.match.form},
        "seed": recipe.seed,
    }


STAGE = Stage(
    name="filter",
    title="Filtering",
    tables={
        "filtered": "the curated pairs that passed the filter",
        "image_hashes": "the images that were looked at: hashes, size, and why one was dropped",
    },
    reads=("ingest", "balance", "images"),
    run=run,
    depends=_depends,
    in_recipe=filters,
    check=_check,
    files=_files,
    spark=True,
)
