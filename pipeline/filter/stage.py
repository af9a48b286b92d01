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
from pipeline.filter.best.spark import by_best
from pipeline.filter.best.spark import ranked as ranked_pairs
from pipeline.filter.columns import columns_of
from pipeline.filter.duplicates.near import Known
from pipeline.filter.duplicates.spark import by_duplicates
from pipeline.filter.evaluation import EvaluationFiles, find_sets
from pipeline.filter.ngrams.known import write_hashes
from pipeline.filter.ngrams.spark import by_ngrams, count_ngrams, frequent
from pipeline.filter.ngrams.spark import ranked as ranked_ngrams
from pipeline.filter.order import row_at
from pipeline.filter.semantic.kmeans import centroids_of
from pipeline.filter.semantic.spark import by_semantic, judged, of_pairs, placed, read_vectors, sample
from pipeline.filter.semantic.vectors import embedding_files, named_by
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
# SemDeDup took 50,000 clusters for 440 million images (Abbas et al. 2023).
MOST_CLUSTERS, VECTORS_PER_CLUSTER = 50_000, 1000
# So many vectors a cluster are the sample that centroids come from, and so many in all.
SAMPLED, MOST_SAMPLED = 64, 1 << 20


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
        rows = _without_rare(run, rows, notes)
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
        rows = _best(run, rows, notes)
    if options.semantic:
        rows = _distinct(run, rows, notes)

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


def _without_rare(run: Run, rows, notes: dict[str, Any]):
    """The rows after the n-grams of the pool, of which the frequent ones are a file of the session meanwhile."""
    options = run.recipe.filter.ngrams
    counts = run.cut(count_ngrams(run.table("pairs")), "ngrams")
    least, last = options.min_count, None
    if options.top is not None:
        run.cut(ranked_ngrams(counts), "ranked")
        found = row_at(_staged(run, "ranked"), options.top - 1)
        least, last = (found["count"], found["ngram"]) if found else (1, None)
    run.cut(frequent(counts, least, last), "frequent")
    with tempfile.TemporaryDirectory(prefix="metaclip-") as folder:
        file = Path(folder) / f"ngrams-{uuid.uuid4().hex}.hashes"
        known = write_hashes(_staged(run, "frequent"), file)
        notes["ngrams"] = {"distinct": _rows(run, "ngrams"), "frequent": known, "least": least}
        run.session.sparkContext.addFile(file.as_uri())
        return run.cut(by_ngrams(rows, file.name), "common")


def _best(run: Run, rows, notes: dict[str, Any]):
    """The rows after the best share by a column of scores."""
    options = run.recipe.filter.best
    run.cut(ranked_pairs(rows, options.column), "ranked")
    scored = _rows(run, "ranked")
    keep = round(options.share * scored)
    last = row_at(_staged(run, "ranked"), keep - 1) if keep else None
    notes["best"] = {"scored": scored, "kept": keep, "least": last and last["score"]}
    return by_best(rows, options.column, last)


def _distinct(run: Run, rows, notes: dict[str, Any]):
    """The rows after semantic duplicates."""
    options, seed = run.recipe.filter.semantic, run.recipe.seed
    files = _embeddings(run.recipe)
    name = named_by(files, "filter.semantic.embeddings")
    vectors = run.cut(of_pairs(read_vectors(run.session, files, name), rows, name), "vectors")
    count = _rows(run, "vectors")
    clusters = options.clusters or max(1, min(MOST_CLUSTERS, count // VECTORS_PER_CLUSTER))
    share = min(1.0, min(SAMPLED * clusters, MOST_SAMPLED) / max(1, count))
    centroids = centroids_of(sample(vectors, share, seed), clusters, seed)
    notes["semantic"] = {"embedded": count, "clusters": len(centroids)}
    return by_semantic(rows, judged(run.cut(placed(vectors, centroids), "placed"), options))


def _embeddings(recipe: Recipe) -> list[str]:
    return [file for given in recipe.filter.semantic.embeddings for file in embedding_files(_listed(given))]


def _listed(given: str) -> list[str]:
    return [file for file, _, _ in storage.list_files(found_path(given))]


def _staged(run: Run, name: str) -> tuple[str, ...]:
    """The files of rows that were cut, in order."""
    return Files.of(tables.staging(run.output, name)).paths


def _rows(run: Run, name: str) -> int:
    return tables.count_rows(tables.staging(run.output, name))


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
        known = {*tables.CURATED.names, *recipe.input.pass_through}
        known.update(*(columns_of(_listed(path)).names for path in options.columns))
        if options.best.column not in known:
            raise UsageError(
                f"filter.best.column: no column {options.best.column!r} in filter.columns or input.pass_through"
            )
    for path in options.semantic.embeddings if options.semantic else ():
        if not embedding_files(_listed(path)):
            raise UsageError(f"filter.semantic.embeddings: {path}: no .parquet or .npy files there")
    if options.semantic:
        named_by(_embeddings(recipe), "filter.semantic.embeddings")
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
)
