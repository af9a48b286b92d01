"""What tasks of stages do, without Spark: each writes into an output as its stage does, and cleans up as that does."""

import pyarrow as pa

from pipeline import storage, tables
from pipeline.buckets.files import read_file, write_bucket
from pipeline.extract.inputs import CrawlFile
from pipeline.extract.options import Extract
from pipeline.extract.store import finished, write_pairs
from pipeline.recipe import Images
from pipeline.shards.content import ImageFile
from pipeline.shards.tar import write_shard

ROWS = 300


def bucket(output: str, work: str) -> None:
    """A bucket of a table, read back, and its table's place."""
    folder = tables.new_folder(output, "curated")
    rows = pa.table({"pair_id": range(ROWS), "text": [f"a text {n}" for n in range(ROWS)]})
    write_bucket(folder, 0, "7", iter(rows.to_batches(40)), rows.schema)
    assert sum(batch.num_rows for batch in read_file(storage.join(folder, "part-00000.parquet"))) == ROWS
    tables.commit(output, "curated")
    tables.describe_files(None, output, ["curated"])


def shard(output: str, work: str) -> None:
    """Two shards, the second larger than the block that goes to the disk at a time, and their place."""
    folder = tables.new_folder(output, "shards")
    for number, size in enumerate((1 << 10, 5 << 20)):
        image = ImageFile(bytes([number]) * size, "jpg", 8, 6)
        rows = [
            {"pair_id": n, "keep_probability": 1.0, "text": f"text {n}"}
            | dict.fromkeys(("source_uid", "url", "language", "entry_list", "entries", "draw"))
            for n in range(3)
        ]
        write_shard(folder, number, rows, lambda row, image=image: image)
    tables.commit(output, "shards")
    tables.describe_files(None, output, ["shards"])


def crawl(output: str, work: str) -> None:
    """A crawl file into its store."""
    folder, name = storage.join(output, "extracted"), "0.parquet"
    storage.make_folder(folder)
    file = CrawlFile(f"{work}/crawl/0.warc.gz", 0, 0)
    if not (storage.exists(storage.join(folder, name)) and finished(folder, name)):
        write_pairs(folder, name, file, "warc", Extract(), "7")
    for left in set(storage.names(folder)) - {name}:
        storage.remove(storage.join(folder, left))
    tables.describe_files(None, output, ["extracted"])


def fetch(output: str, work: str) -> None:
    """A shard of images from a site."""
    from pipeline.images.fetch import fetch_shard, remove_unnamed, table_path

    folder = storage.join(output, "fetched")
    storage.make_folder(folder)
    site = (storage.read_bytes(f"{work}/site")).decode()
    if not storage.exists(table_path(folder, 0)):
        images = [{"image_id": f"{n}", "url": f"{site}/good/{n}.jpg"} for n in range(3)]
        options = Images(fetch=True, size=16, threads=1, timeout=2, allow_networks=["127.0.0.0/8"])
        fetch_shard(folder, 0, images, options)
    remove_unnamed(folder)
    tables.describe_files(None, output, ["fetched"])


def lists(output: str, work: str) -> None:
    """Entry tables and the files of a run that name them."""
    from pipeline import record

    for folder in (output, storage.join(output, record.FOLDER)):
        storage.sweep(folder)
    tables.write_arrow(pa.table({"entry": ["cat", "dog"]}), output, "thresholds")
    tables.commit(output, "thresholds")
    files = tables.describe_files(None, output, ["thresholds"])
    record.save(output, record.Record("balance", "f", {}, {}, 1, 1, {}, 0.0, files))
    storage.write_new(storage.join(output, "once.json"), b"{}\n")


def checkpoint(output: str, work: str) -> None:
    """The steps of a training that are not there yet, from the newest checkpoint, which is whole."""
    from pathlib import Path

    import torch

    from pipeline.train.checkpoint import latest, load, save

    folder = Path(output) / "checkpoints"
    newest = latest(folder)
    done = load(newest)["step"] if newest else 0
    for step in range(min(done, 3) + 1, 5):  # The last again: what a fault left goes with the next checkpoint.
        save(folder, {"step": step, "weights": torch.full((40,), float(step))}, keep=2)


CALLS = {"bucket": bucket, "shard": shard, "crawl": crawl, "fetch": fetch, "lists": lists, "checkpoint": checkpoint}
