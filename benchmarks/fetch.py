"""``python -m benchmarks.fetch --images FOLDER``: images a second of the stage ``images`` beside plain img2dataset.

A server on this machine answers with the images of a folder, in a process of its own; both ask for the same URLs with
as many processes and threads, resize the same way, and write tars.
"""

import functools
import http.server
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.table import Table

from benchmarks.compare import write_json
from pipeline.curate import curate
from pipeline.job import new_app, run
from pipeline.progress import results
from pipeline.recipe import load_recipe
from pipeline.session import open_session

app = new_app()
THREADS, SIZE = 32, 256


@app.command(help=__doc__)
def main(
    images: Annotated[Path, typer.Option(help="A folder of images.")],
    repeat: Annotated[int, typer.Option(help="Ask for each so many times.")] = 2,
    processes: Annotated[int, typer.Option(help="Processes that fetch: the cores of this machine.")] = 2,
    rounds: Annotated[int, typer.Option(help="Turns, of which the best counts.")] = 2,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "fetch",
) -> None:
    """Measures and reports."""
    from img2dataset import download

    context = multiprocessing.get_context("spawn")
    port = context.Queue()
    server = context.Process(target=serve, args=(str(images), port), daemon=True)
    server.start()
    root = f"http://127.0.0.1:{port.get()}"
    files = sorted(file.name for file in images.iterdir() if file.is_file())
    urls = [f"{root}/{file}?{turn}" for turn in range(repeat) for file in files]
    open_session()
    best = {"stage images": 0.0, "img2dataset alone": 0.0}
    with tempfile.TemporaryDirectory(prefix="metaclip-bench-") as folder:
        place = Path(folder)
        pq.write_table(pa.table({"url": urls, "text": ["a picture"] * len(urls)}), place / "pool.parquet")
        (place / "en.txt").write_text("picture\n")
        samples = -(-len(urls) // (2 * processes))
        settings = [
            f"entries.en={place / 'en.txt'}", "language.identify=none", "language.keep=[]", "dedupe.scope=none",
            "balance.mode=none", "images.fetch=true", f"images.threads={THREADS}", f"images.size={SIZE}",
            "images.allow_networks=[127.0.0.0/8]", f"images.samples={samples}",
        ]  # fmt: skip
        recipe = load_recipe("metaclip-400m", settings, [str(place / "pool.parquet")])
        curate(recipe, str(place / "out"), ["ingest", "match", "dedupe", "balance"])
        for _ in range(rounds):
            started = time.monotonic()
            summary = curate(recipe, str(place / "out"), ["images"], force=True)
            best["stage images"] = max(best["stage images"], len(urls) / (time.monotonic() - started))
            assert summary["stages"][0]["out"] == len(urls)
            shutil.rmtree(place / "plain", ignore_errors=True)
            started = time.monotonic()
            download(
                str(place / "pool.parquet"), input_format="parquet", url_col="url", number_sample_per_shard=samples,
                image_size=SIZE,
                output_folder=str(place / "plain"), output_format="webdataset", processes_count=processes,
                thread_count=THREADS, resize_mode="keep_ratio", resize_only_if_bigger=True,
            )  # fmt: skip
            best["img2dataset alone"] = max(best["img2dataset alone"], len(urls) / (time.monotonic() - started))
    server.terminate()
    table = Table(title=f"{len(urls):,} images, {processes} processes of {THREADS} threads", header_style="bold")
    for heading in ("", "images/s", "ours is faster by"):
        table.add_column(heading, justify="right" if heading else "left")
    for title, rate in best.items():
        table.add_row(title, f"{rate:,.0f}", f"{best['stage images'] / rate:.2f}x")
    results.print(table)
    write_json(name, {"images": len(urls), "images_per_second": best})


def serve(folder: str, port) -> None:
    """Serves the files of a folder on a free port, which it tells."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 1024

    with Server(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        port.put(server.server_port)
        server.serve_forever()


if __name__ == "__main__":
    run(app)
