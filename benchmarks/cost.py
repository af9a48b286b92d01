"""``python -m benchmarks.cost --texts FILE --entries FILE``: what each stage costs, at several sizes.

The pool is made of real texts recombined (``benchmarks.pool``), a tenth of it duplicates. A stage's cost is the CPU
time of all processes and, with ``--engine spark``, the bytes that Spark shuffled, for each million pairs of the pool.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.table import Table

from benchmarks.compare import read_texts, write_json
from benchmarks.pool import write_pool
from pipeline import engine
from pipeline.curate import curate
from pipeline.job import new_app, run
from pipeline.progress import results, say
from pipeline.recipe import load_recipe

STAGES = ("ingest", "match", "dedupe", "balance")
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    entries: Annotated[Path, typer.Option(help="Entries, one a line (plain, gz, zst).")],
    sizes: Annotated[str, typer.Option(help="Pairs, with commas between.")] = "300000,3000000,30000000",
    identify: Annotated[str, typer.Option(help="none or fasttext: language identification.")] = "none",
    settings: Annotated[list[str], typer.Option("--set", help="key=value of the recipe.")] = [],  # noqa: B006
    does: Annotated[str, typer.Option("--engine", help="local or spark.")] = engine.LOCAL,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "cost",
) -> None:
    """Measures and reports."""
    lines = read_texts(texts)
    settings = [*settings, f"entries.en={entries}", f"language.identify={identify}", "balance.t=20000"]
    if identify == "none":
        settings.append("language.keep=[]")
    engine.choose(does)
    engine.open_engine(needs_spark=False)
    # The first run, a small one, compiles and starts everything.
    measure_size(lines, 20_000, settings)
    facts = [fact for rows in sizes.split(",") for fact in measure_size(lines, int(rows), settings)]
    table = Table(title=f"cost per million pairs, {does}, identify {identify}", header_style="bold")
    for heading in ("stage", "pairs", "core-seconds", "shuffled MB", "seconds in all", "pairs out"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for fact in facts:
        millions = fact["pairs"] / 1e6
        table.add_row(
            fact["stage"], f"{fact['pairs']:,}", f"{fact['core_seconds'] / millions:.1f}",
            f"{fact['shuffled_bytes'] / 1e6 / millions:.1f}", f"{fact['seconds']:.1f}", f"{fact['pairs_out']:,}",
        )  # fmt: skip
    results.print(table)
    write_json(name, {"engine": does, "identify": identify, "settings": settings, "stages": facts})


def measure_size(lines: list[str], rows: int, settings: list[str]) -> list[dict[str, Any]]:
    """The cost of each stage over a pool of so many rows."""
    facts = []
    with tempfile.TemporaryDirectory(prefix="metaclip-bench-") as folder:
        write_pool(lines, rows, Path(folder) / "pool")
        recipe = load_recipe("metaclip-400m", settings, [f"{folder}/pool"])
        for stage in STAGES:
            cpu, shuffled, started = cpu_seconds(), shuffle_bytes(), time.monotonic()
            summary = curate(recipe, f"{folder}/output", [stage])
            facts.append(
                {
                    "stage": stage,
                    "pairs": rows,
                    "seconds": time.monotonic() - started,
                    "core_seconds": cpu_seconds() - cpu,
                    "shuffled_bytes": shuffle_bytes() - shuffled,
                    "pairs_out": summary["stages"][-1]["out"],
                }
            )
            say(str(facts[-1]))
    return facts


def cpu_seconds() -> float:
    """CPU time of this process and of all under it; the times of ended ones are in those of their parents."""
    here = psutil.Process()
    times = [process.cpu_times() for process in [here, *here.children(recursive=True)]]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def shuffle_bytes() -> int:
    """The bytes that Spark's executors wrote to shuffles so far; none without Spark."""
    context = engine.open_engine(needs_spark=False).sparkContext
    if not hasattr(context, "_jsc"):
        return 0
    store = context._jsc.sc().statusStore()
    executors = store.executorList(False)
    return sum(executors.apply(i).totalShuffleWrite() for i in range(executors.size()))


if __name__ == "__main__":
    run(app)
