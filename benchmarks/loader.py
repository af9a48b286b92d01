"""``python -m benchmarks.loader --shards FOLDER``: samples a second of the trainer's loader beside webdataset's.

Both read the same tars with as many workers, crop the same way, and encode texts in their workers; neither trains. The
share of decoding is what Pillow alone takes of ours, on one core.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
import webdataset
from rich.table import Table

from benchmarks.compare import ROUNDS, write_json
from pipeline.job import new_app, run
from pipeline.progress import results
from pipeline.train.images import CROP_DRAWS, decode, train_transform
from pipeline.train.loader import ShardDataset, batches
from pipeline.train.sampler import Sampler
from pipeline.train.shards import ShardSet
from pipeline.train.tokenizer import tokenize, train_tokenizer

app = new_app()
CROP = (0.9, 1.0)


@app.command(help=__doc__)
def main(
    shards: Annotated[list[str], typer.Option(help="A tar or a folder of tars (again for more).")],
    size: Annotated[int, typer.Option(help="Pixels of a side.")] = 64,
    batch: Annotated[int, typer.Option(help="Samples of a batch.")] = 128,
    samples: Annotated[int, typer.Option(help="To read in a turn.")] = 10_000,
    workers: Annotated[int, typer.Option(help="ProcessGroup that read.")] = 2,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "loader",
) -> None:
    """Measures and reports."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
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
                return train_transform(decode(item[0]), size, CROP, rng.random(CROP_DRAWS)), item[1].decode()

            def collate(items: list) -> tuple[torch.Tensor, torch.Tensor]:
                images, texts = zip(*items, strict=True)
                return torch.from_numpy(np.stack(images)), torch.from_numpy(tokenize(tokenizer, list(texts)))

            data = webdataset.WebDataset(found.tars, shardshuffle=100, nodesplitter=webdataset.split_by_node)
            data = data.shuffle(1000).to_tuple("jpg;png;webp;jpeg", "txt").map(sample)
            data = data.batched(batch, collation_fn=collate, partial=False).repeat()
            loader = webdataset.WebLoader(data, batch_size=None, num_workers=workers, prefetch_factor=4)
            for done, _ in enumerate(loader, 1):
                if done == steps:
                    break

        ways = {"ours": lambda: ours(False), "webdataset": theirs, "ours, JPEGs in draft mode": lambda: ours(True)}
        best = dict.fromkeys(ways, 0.0)
        for _ in range(ROUNDS):
            for title, way in ways.items():
                started = time.monotonic()
                way()
                best[title] = max(best[title], steps * batch / (time.monotonic() - started))
        share = _decoding_share(found, tokenizer, size)
    table = Table(title=f"{steps * batch:,} samples, {size} px, {workers} workers", header_style="bold")
    for heading in ("loader", "samples/s", "ours is faster by"):
        table.add_column(heading, justify="left" if heading == "loader" else "right")
    for title, rate in best.items():
        table.add_row(title, f"{rate:,.0f}", f"{best['ours'] / rate:.2f}x")
    results.print(table, f"decoding is {share:.0%} of a worker's time")
    write_json(name, {"size": size, "workers": workers, "samples_per_second": best, "decoding_share": share})


def _decoding_share(found: ShardSet, tokenizer, size: int) -> float:
    """Of the time of a chunk of 128 samples in one process, what decoding takes."""
    sampler = Sampler(found.counts, 0, 10)
    dataset = ShardDataset(found, sampler, tokenizer, size, CROP, False)
    started = time.thread_time()
    dataset[(0, 128)]
    whole = time.thread_time() - started
    contents = [found.sample(shard, row)[1] for shard, row in sampler.samples(0, 128)]
    started = time.thread_time()
    for content in contents:
        decode(content)
    return (time.thread_time() - started) / whole


if __name__ == "__main__":
    run(app)
