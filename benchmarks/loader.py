"""``python -m benchmarks.loader``: samples a second of the trainer's loader beside webdataset's.

Both read the same tars with as many workers, draw crops the same way, and encode texts in their workers; neither
trains. CPU time is counted, of this process and its workers. webdataset's resizes with Pillow, as open_clip does, and
leaves out that one's floats and normalisation. The shares are what decoding and resizing take of ours, on one core.
Without ``--shards`` the tars are of photographs (``benchmarks.photographs``).
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
import webdataset
from PIL import Image
from rich.table import Table

from benchmarks.compare import ROUNDS, write_json
from benchmarks.photographs import write_photographs
from pipeline.job import new_app, run
from pipeline.progress import results
from pipeline.train.images import CROP_DRAWS, crop_box, decode, train_transform
from pipeline.train.loader import ShardDataset, batches
from pipeline.train.sampler import Sampler
from pipeline.train.shards import ShardSet
from pipeline.train.tokenizer import tokenize, train_tokenizer

app = new_app()
CROP = (0.9, 1.0)


@app.command(help=__doc__)
def main(
    shards: Annotated[list[str] | None, typer.Option(help="A tar or a folder of tars (again for more).")] = None,
    size: Annotated[int, typer.Option(help="Pixels of a side.")] = 224,
    batch: Annotated[int, typer.Option(help="Samples of a batch.")] = 128,
    samples: Annotated[int, typer.Option(help="To read in a turn.")] = 8192,
    workers: Annotated[int, typer.Option(help="Processes that read.")] = 2,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "loader",
) -> None:
    """Measures and reports."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        if not shards:
            write_photographs(Path(cache) / "photographs", 4096, 8)
            shards = [str(Path(cache) / "photographs")]
        found = ShardSet(shards, Path(cache))
        tokenizer = train_tokenizer(found.texts(20_000), 4096, 77)
        steps = samples // batch

        def ours(draft: bool) -> None:
            sampler = Sampler(found.counts, 0, 10)
            dataset = ShardDataset(found, sampler, tokenizer, size, CROP, draft)
            for chunk in batches(dataset, 0, steps, batch, 0, 1, workers):
                assert len(chunk.keys) == batch

        def theirs() -> None:
            rng = np.random.default_rng(0)

            def sample(item: tuple[bytes, bytes]) -> tuple[np.ndarray, str]:
                image = decode(item[0])
                box = crop_box(image.width, image.height, CROP, rng.random(CROP_DRAWS))
                pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box))
                return np.ascontiguousarray(pixels.transpose(2, 0, 1)), item[1].decode()

            def collate(items: list) -> tuple[torch.Tensor, torch.Tensor]:
                images, texts = zip(*items, strict=True)
                return torch.from_numpy(np.stack(images)), torch.from_numpy(tokenize(tokenizer, list(texts)))

            data = webdataset.WebDataset(found.tars, shardshuffle=100, nodesplitter=webdataset.split_by_node)
            data = data.shuffle(1000).to_tuple("jpg;png;webp;jpeg", "txt").map(sample)
            data = data.batched(batch, collation_fn=collate, partial=False).repeat()
            # Each worker makes its share and no more: what is made ahead and not taken would count.
            data = data.with_epoch(steps // workers)
            loader = webdataset.WebLoader(data, batch_size=None, num_workers=workers, prefetch_factor=4)
            for done, _ in enumerate(loader, 1):
                if done == steps:
                    break

        ways = {"ours": lambda: ours(False), "webdataset": theirs, "ours, JPEGs in draft mode": lambda: ours(True)}
        best = dict.fromkeys(ways, 0.0)
        for _ in range(ROUNDS):
            for title, way in ways.items():
                started = _cpu_seconds()
                way()
                best[title] = max(best[title], steps * batch / (_cpu_seconds() - started))
        shares = _shares(found, tokenizer, size)
    table = Table(title=f"{steps * batch:,} samples, {size} px, {workers} workers", header_style="bold")
    for heading in ("loader", "samples/s and core", "ours is faster by"):
        table.add_column(heading, justify="left" if heading == "loader" else "right")
    for title, rate in best.items():
        table.add_row(title, f"{rate:,.0f}", f"{best['ours'] / rate:.2f}x")
    said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    results.print(table, f"of a worker's time: {said}")
    write_json(name, {"size": size, "workers": workers, "samples_per_second": best, "shares": shares})


def _cpu_seconds() -> float:
    """Of this process and of its workers that have ended."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def _shares(found: ShardSet, tokenizer, size: int) -> dict[str, float]:
    """Of the time of a chunk of 128 samples in one process, what decoding and what resizing takes."""
    sampler = Sampler(found.counts, 0, 10)
    dataset = ShardDataset(found, sampler, tokenizer, size, CROP, False)
    dataset[(0, 1)]  # It loads what is compiled.
    times = [time.thread_time()]
    dataset[(0, 128)]
    contents = [found.sample(shard, row)[1] for shard, row in sampler.samples(0, 128)]
    times.append(time.thread_time())
    images = [decode(content) for content in contents]
    times.append(time.thread_time())
    for image in images:
        train_transform(image, size, CROP, np.full(CROP_DRAWS, 0.5))
    times.append(time.thread_time())
    whole, decoding, resizing = np.diff(times)
    return {"decoding": decoding / whole, "resizing": resizing / whole}


if __name__ == "__main__":
    run(app)
