"""``python -m benchmarks.reshard``: writing the shards of a curated set from tars that are there, beside a plain loop.

The loop is what people write: ``tarfile`` through each tar, the sample's uid looked up in a set,
``webdataset.ShardWriter``. It leaves samples in the order of the tars and writes no index; ours puts them in the order
of a hash over all shards. With ``--datacomp`` DataComp's resharder.py takes its turn, with a process a core. All read
the same tars and write the same images into an empty folder; half of the samples are curated. Times are those of the
wall, with all that was written before on the disk; the best of the turns counts.
"""

import io
import json
import os
import shutil
import subprocess
import sys
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
from pipeline.recipe import Recipe, load_recipe
from pipeline.shards.subset import write_subset

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
    samples: Annotated[int, typer.Option(help="In the tars; 32 KB each.")] = 200_000,
    each: Annotated[int, typer.Option(help="Samples of a tar.")] = 10_000,
    turns: Annotated[int, typer.Option(help="Turns of each.")] = 3,
    datacomp: Annotated[Path | None, typer.Option(help="DataComp's resharder.py; needs what it imports.")] = None,
) -> None:
    """Measures and reports."""
    with tempfile.TemporaryDirectory(prefix="metaclip-reshard-") as folder:
        work = Path(folder)
        size = _write_work(work, samples, each)
        recipe = work / "recipe.yaml"
        recipe.write_text(RECIPE % {"work": work})
        found = load_recipe(str(recipe))
        curate(found, str(work / "out"), ["ingest", "match", "dedupe", "balance"])
        write_subset(str(work / "out"), work / "subset.npy")
        peers = {"loop": lambda: _loop(work, samples, each)}
        if datacomp is not None:
            peers[f"DataComp's, {os.cpu_count()} processes"] = lambda: _datacomp(work, each, datacomp)
        best: dict[str, float] = {}
        for _ in range(turns):
            for name, reshard in (peers | {"ours": lambda: _ours(work, found)}).items():
                for written in (work / "plain", work / "out/shards"):
                    shutil.rmtree(written, ignore_errors=True)
                (work / "plain").mkdir()
                os.sync()
                started = time.monotonic()
                assert reshard() == samples // 2
                best[name] = min(best.get(name, float("inf")), time.monotonic() - started)
    title = f"{samples:,} samples, {size / 1e9:.2f} GB of tars, {samples // 2:,} curated"
    table = Table(title=title, header_style="bold")
    for heading in ("", "seconds", "GB read/s", "ours is faster by"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, seconds in best.items():
        table.add_row(name, f"{seconds:.1f}", f"{size / seconds / 1e9:.2f}", f"{seconds / best['ours']:.1f}x")
    results.print(table)
    write_json("reshard", {"samples": samples, "bytes": size, "seconds": best})


def _ours(work: Path, recipe: Recipe) -> int:
    return curate(recipe, str(work / "out"), ["shards"], force=True)["stages"][0]["out"]


def _datacomp(work: Path, each: int, script: Path) -> int:
    options = ["-i", work / "tars", "-o", work / "plain", "-s", work / "subset.npy", "-j", str(os.cpu_count())]
    options += ["--shard-size", str(each), "--shard-format", "{:05d}.tar"]
    subprocess.run([sys.executable, script, *options], check=True)
    return sum(json.loads(file.read_text())["successes"] for file in (work / "plain").glob("*_stats.json"))


def _write_work(work: Path, samples: int, each: int) -> int:
    """Tars as img2dataset writes them, a pool with every second sample, an entry list; the bytes of the tars."""
    (work / "tars").mkdir()
    rng = np.random.default_rng(0)
    images = []
    for _ in range(200):
        small = Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8))
        out = io.BytesIO()
        small.resize((256, 256)).save(out, "JPEG", quality=95)
        images.append(out.getvalue())
    for start in range(0, samples, each):
        with tarfile.open(work / "tars" / f"{start // each:05d}.tar", "w") as tar:
            for i in range(start, min(start + each, samples)):
                meta = {
                    "uid": f"{i:032x}",
                    "url": f"http://x.test/{i}.jpg",
                    "original_width": 640,
                    "original_height": 640,
                }
                parts = {"jpg": images[i % len(images)], "txt": b"a picture", "json": json.dumps(meta).encode()}
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
    tars = {f"{start // each:05d}.tar": min(each, samples - start) for start in range(0, samples, each)}
    (work / "tars/sizes.json").write_text(json.dumps(tars))
    return sum((work / "tars" / name).stat().st_size for name in tars)


def _loop(work: Path, samples: int, each: int) -> int:
    uids = {f"{i:032x}" for i in range(0, samples, 2)}
    with webdataset.ShardWriter(str(work / "plain/%05d.tar"), maxcount=each, verbose=0) as sink:
        for path in sorted((work / "tars").glob("*.tar")):
            with tarfile.open(path) as tar:
                sample: dict = {}
                for member in tar:
                    key, _, kind = member.name.partition(".")
                    if sample.get("__key__") != key:
                        sample = {"__key__": key}
                    sample[kind] = tar.extractfile(member).read()
                    if len(sample) == 4 and json.loads(sample["json"])["uid"] in uids:
                        sink.write(sample)
        return sink.total


if __name__ == "__main__":
    run(app)
