"""The stage ``shards``: ``curated`` and local pictures to webdataset tars."""

from pipeline import storage, tables
from pipeline.recipe_file import local_path
from pipeline.run import Outcome, Run
from pipeline.shards.pictures import fetched_pictures, local_pictures
from pipeline.shards.spark import with_images, without_picture, write_shards
from pipeline.tables import Account


def run(run: Run) -> Outcome:
    """Writes ``shards/``: the tars with an index and ``_stats.json`` beside each, ``sizes.json``, ``manifest.json``."""
    recipe, curated = run.recipe, run.table("curated")
    pairs = rows_in = tables.count_rows(run.folder("curated"))
    dropped: dict[str, int] = {}
    folder = tables.staging(run.output, "shards")
    storage.remove(folder)
    storage.make_folder(folder)
    if recipe.images.fetch:
        # Shards are numbered by the pairs that have a picture, so that all are full.
        curated, load = with_images(curated, run.table("images")), fetched_pictures(run.folder("fetched"))
        dropped = without_picture(curated)
        curated, pairs = curated.where("status = 'success'"), rows_in - sum(dropped.values())
    else:
        root = recipe.images.root if "://" in recipe.images.root else str(local_path(recipe.images.root).resolve())
        load = local_pictures(root, recipe.images.prefix)
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
