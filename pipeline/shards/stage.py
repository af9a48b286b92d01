"""The stage ``shards``: ``curated`` and local pictures to webdataset tars."""

from pipeline import storage, tables
from pipeline.recipe_file import local_path
from pipeline.run import Outcome, Run
from pipeline.shards.spark import write_shards
from pipeline.tables import Account


def run(run: Run) -> Outcome:
    """Writes ``shards/``: the tars with an index and ``_stats.json`` beside each, ``sizes.json``, ``manifest.json``."""
    recipe, curated = run.recipe, run.table("curated")
    pairs = tables.count_rows(run.folder("curated"))
    folder = tables.staging(run.output, "shards")
    storage.remove(folder)
    storage.make_folder(folder)
    root = str(recipe.images.root) if "://" in recipe.images.root else str(local_path(recipe.images.root).resolve())
    written = write_shards(curated, pairs, recipe.shards.samples, folder, root, recipe.images.prefix)
    shards = sorted(written.toArrow().to_pylist(), key=lambda line: line["shard"])
    dropped: dict[str, int] = {}
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
    return Account(pairs, samples, dict(sorted(dropped.items()))), {"shards": len(shards)}
