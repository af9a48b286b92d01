"""``python -m benchmarks.reshard``: writing the shards of a curated set from tars that are there, beside a plain loop.

The loop is what people write: ``tarfile`` through each tar, the sample's uid looked up in a set,
``webdataset.ShardWriter``. It leaves samples in the order of the tars and writes no index; ours puts them in the order
of a hash over all shards. Both read the same tars and write the same pictures; half of the samples are curated. Times
are those of the wall, with all that was written before on the disk.
"""

import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
import webdataset
from PIL import Image
from rich.table import Table

from benchmarks.compare import write_json
from pipeline.curate import curate
from pipeline.job import new_app, run
from pipeline.progress import results
from pipeline.recipe import load_recipe

app = new_app()
RECIPE = """
name: reshard
input: {paths: [%(work)s/pool.parquet], columns: {source_uid: uid}}
language: {identify: none}
entries: {en: %(work)s/en.txt}
dedupe: {scope: none}
balance: {mode: none, t: 10}
images: {tars: [%(work)s/tars]}
"""


@app.command(help=__doc__)
def main(
    samples: Annotated[int, typer.Option(help="In the tars.")] = 100_000,
    each: Annotated[int, typer.Option(help="Samples of a tar.")] = 10_000,
) -> None:
    """Measures and reports."""
    with tempfile.TemporaryDirectory(prefix="metaclip-reshard-") as folder:
        work = Path(folder)
        size = _write_work(work, samples, each)
        recipe = work / "recipe.yaml"
        recipe.write_text(RECIPE % {"work": work})
        found = load_recipe(str(recipe))
        curate(found, str(work / "out"), ["ingest", "match", "dedupe", "balance"])
        uids = {f"{i:032x}" for i in range(0, samples, 2)}
        seconds: dict[str, list[float]] = {"loop": [], "ours": []}
        for turn in range(3):
            os.sync()
            started = time.monotonic()
            _loop(sorted((work / "tars").glob("*.tar")), uids, work / f"loop-{turn}", each)
            seconds["loop"].append(time.monotonic() - started)
            shutil.rmtree(work / f"loop-{turn}")
            os.sync()
            summary = curate(found, str(work / "out"), ["shards"], force=True)
            seconds["ours"].append(summary["stages"][0]["seconds"])
            assert summary["stages"][0]["out"] == len(uids)
    best = {name: min(times) for name, times in seconds.items()}
    ratio = best["loop"] / best["ours"]
    title = f"{samples:,} samples, {size / 1e9:.2f} GB of tars, {samples // 2:,} curated"
    table = Table(title=title, header_style="bold")
    for heading in ("", "seconds", "GB read/s"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, time_taken in best.items():
        table.add_row(name, f"{time_taken:.1f}", f"{size / time_taken / 1e9:.2f}")
    results.print(table)
    results.print(f"ours is faster by {ratio:.1f}x")
    write_json("reshard", {"samples": samples, "bytes": size, "seconds": seconds, "ratio": ratio})


def _write_work(work: Path, samples: int, each: int) -> int:
    """Tars as img2dataset writes them, a pool with every second sample, an entry list; the bytes of the tars."""
    (work / "tars").mkdir()
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(200):
        small = Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8))
        out = io.BytesIO()
        small.resize((256, 256)).save(out, "JPEG", quality=95)
        pictures.append(out.getvalue())
    for start in range(0, samples, each):
        with tarfile.open(work / "tars" / f"{start // each:05d}.tar", "w") as tar:
            for i in range(start, min(start + each, samples)):
                meta = {
                    "uid": f"{i:032x}",
                    "url": f"http://x.test/{i}.jpg",
                    "original_width": 640,
                    "original_height": 640,
                }
                parts = {"jpg": pictures[i % len(pictures)], "txt": b"a picture", "json": json.dumps(meta).encode()}
                for kind, content in parts.items():
                    member = tarfile.TarInfo(f"{i:09d}.{kind}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    chosen = range(0, samples, 2)
    columns = {
        "url": [f"http://x.test/{i}.jpg" for i in chosen],
        "text": [f"picture number {i}" for i in chosen],
        "uid": [f"{i:032x}" for i in chosen],
    }
    pq.write_table(pa.table(columns), work / "pool.parquet")
    (work / "en.txt").write_text("picture\n")
    return sum(file.stat().st_size for file in (work / "tars").iterdir())


def _loop(tars: list[Path], uids: set[str], folder: Path, each: int) -> None:
    folder.mkdir()
    with webdataset.ShardWriter(str(folder / "%05d.tar"), maxcount=each, verbose=0) as sink:
        for path in tars:
            with tarfile.open(path) as tar:
                sample: dict = {}
                for member in tar:
                    key, _, kind = member.name.partition(".")
                    if sample.get("__key__") != key:
                        sample = {"__key__": key}
                    sample[kind] = tar.extractfile(member).read()
                    if len(sample) == 4 and json.loads(sample["json"])["uid"] in uids:
                        sink.write(sample)


if __name__ == "__main__":
    run(app)
