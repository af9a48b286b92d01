"""The stage ``shards``: ``curated`` and local pictures to webdataset tars."""

from importlib.util import find_spec

from pipeline import storage, tables
from pipeline.errors import UsageError
from pipeline.recipe import Images
from pipeline.recipe_file import local_path
from pipeline.run import Outcome, Run
from pipeline.shards.pictures import local_pictures, tar_pictures
from pipeline.shards.spark import (
    by_choice,
    chosen,
    with_columns,
    with_images,
    with_tars,
    without_picture,
    write_shards,
)
from pipeline.tables import Account


def run(run: Run) -> Outcome:
    """Writes ``shards/``: the tars with an index and ``_stats.json`` beside each, ``sizes.json``, ``manifest.json``."""
    recipe, curated = run.recipe, run.table("curated")
    pairs = rows_in = tables.count_rows(run.folder("curated"))
    dropped: dict[str, int] = {}
    folder = tables.staging(run.output, "shards")
    storage.remove(folder)
    storage.make_folder(folder)
    if recipe.shards.where is not None:
        for columns in recipe.shards.columns:
            curated = with_columns(curated, _found(columns))
        curated = run.cut(chosen(curated, recipe.shards.where), "chosen")
        dropped = by_choice(curated)
        curated, pairs = curated.where("kept"), rows_in - sum(dropped.values())
    if recipe.images.fetch or recipe.images.tars:
        if recipe.images.fetch:
            curated = with_images(curated, run.table("images"), run.folder("fetched"))
        else:
            curated = with_tars(curated, list_tars(recipe.images.tars))
        # Shards are numbered by the pairs that have a picture, so that all are full.
        dropped |= without_picture(curated)
        curated, pairs, load = curated.where("status = 'success'"), rows_in - sum(dropped.values()), tar_pictures()
    else:
        load = local_pictures(_found(recipe.images.root), recipe.images.prefix)
    written = write_shards(curated, pairs, recipe.shards.samples, folder, load)
    shards = sorted(written.toArrow().to_pylist(), key=lambda line: line["shard"])
    for line in shards:
        line["dropped"] = dict(line["dropped"])
        for reason, rows in line["dropped"].items():
            dropped[reason] = dropped.get(reason, 0) + rows
    samples = sum(line["samples"] for line in shards)
    storage.write_json(storage.join(folder, "sizes.json"), {line["shard"]: line["samples"] for line in shards})
    storage.write_json(
        storage.join(folder, "manifest.json"),
        {
            "name": recipe.name,
            "balance_mode": recipe.balance.mode,
            "samples": samples,
            "bytes": sum(line["bytes"] for line in shards),
            "shards": shards,
        },
    )
    return Account(rows_in, samples, dict(sorted(dropped.items()))), {"shards": len(shards)}


def list_tars(paths: list[str]) -> list[str]:
    """The tars that paths, folders or patterns stand for."""
    return [file for path in paths for file, _, _ in storage.list_files(_found(path)) if file.endswith(".tar")]


def _found(path: str) -> str:
    return path if "://" in path else str(local_path(path).resolve())


def check_images(images: Images, fetching: bool) -> None:
    """Raises ``UsageError`` where a recipe's pictures cannot be had; ``fetching``: the stage images is to run."""
    if fetching and not images.fetch:
        raise UsageError("images.fetch: found false; pictures are fetched where it is true")
    if images.fetch:
        if find_spec("img2dataset") is None:
            raise UsageError("images.fetch: needs the package img2dataset: make images, or pip install '.[images]'")
    elif images.tars:
        if not list_tars(images.tars):
            raise UsageError(f"images.tars: {images.tars[0]}: no .tar there")
    elif images.root is None:
        raise UsageError("images.root: missing; shards need it and images.prefix, or images.tars, or images.fetch")
    elif not storage.exists(_found(images.root)):
        raise UsageError(f"images.root: {images.root}: no such folder")
