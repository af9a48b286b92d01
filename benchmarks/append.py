"""``python -m benchmarks.append --texts FILE --entries FILE``: adding to a set beside making it from scratch.

Whole commands, as they are started: ``jobs/curate.py`` over a pool (``benchmarks.pool``), ``jobs/append.py`` with a
tenth more, and ``jobs/curate.py`` over both. At the end both sets must have the same bytes. A small pool goes through
all first, so that kernels are compiled and programs are in memory.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from benchmarks.compare import read_lines, read_texts, write_json
from benchmarks.pool import write_pool
from benchmarks.process import Taken, measured
from pipeline import storage
from pipeline.errors import PipelineError
from pipeline.job import new_app, run
from pipeline.progress import results, say

WARM_PAIRS, FILES = 20_000, 10
SAME = ("curated", "entry_counts", "thresholds")
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    entries: Annotated[Path, typer.Option(help="Entries, one a line (plain, gz, zst).")],
    pairs: Annotated[int, typer.Option(help="Pairs of the set that is added to.")] = 3_000_000,
    t: Annotated[int, typer.Option(help="balance.t.")] = 20_000,
    identify: Annotated[str, typer.Option(help="language.identify: none or fasttext.")] = "none",
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "append",
) -> None:
    """Measures and reports."""
    lines = read_texts(texts)
    with tempfile.TemporaryDirectory(prefix="metaclip-append-") as folder:
        work = Path(folder)
        (work / "entries.txt").write_text("\n".join(read_lines(entries)) + "\n", encoding="utf-8")
        for size in (WARM_PAIRS, pairs):
            taken = compare(lines, size, work / str(size), work / "entries.txt", t, identify)
    scratch = taken["from scratch"]
    table = Table(title=f"{pairs:,} pairs and a tenth more, {os.cpu_count()} cores", pad_edge=False)
    for heading in ("", "seconds", "core-s", "peak GB", "seconds, of scratch", "core-s, of scratch"):
        table.add_column(heading, justify="right" if heading else "left")
    for way, found in taken.items():
        table.add_row(
            way, f"{found.seconds:.1f}", f"{found.core_seconds:.1f}", f"{found.peak_bytes / 1e9:.2f}",
            f"{found.seconds / scratch.seconds:.2f}", f"{found.core_seconds / scratch.core_seconds:.2f}",
        )  # fmt: skip
    results.print(table)
    facts = {"pairs": pairs, "t": t, "identify": identify, "load": os.getloadavg()}
    write_json(name, facts | {way: asdict(found) for way, found in taken.items()})


def compare(lines: list[str], size: int, work: Path, entries: Path, t: int, identify: str) -> dict[str, Taken]:
    """What each command takes; the files of both sets are compared."""
    write_pool(lines, size + size // FILES, work / "pool", file_rows=size // FILES)
    *old, new = sorted((work / "pool").iterdir())
    settings = [f"language.identify={identify}", f"entries.en={entries}", f"balance.t={t}"]
    if identify == "none":
        settings.append("language.keep=[]")
    recipe = ["jobs/curate.py", "--recipe", "metaclip-400m", *_each("--set", settings)]
    output, whole = str(work / "output"), str(work / "whole")
    commands: dict[str, list[Any]] = {
        "the set before": [*recipe, *_each("--input", old), "--output", output],
        "append": ["jobs/append.py", "--input", new, "--output", output],
        "from scratch": [*recipe, *_each("--input", [*old, new]), "--output", whole],
    }
    taken = {}
    for way, command in commands.items():
        taken[way] = measured([sys.executable, *map(str, command)])
        say(f"{size:,} pairs, {way}: {taken[way]}")
    if _digests(output) != _digests(whole):
        raise PipelineError(f"{output} and {whole} differ")
    shutil.rmtree(work)
    return taken


def _each(option: str, values: list) -> list[str]:
    return [part for value in values for part in (option, str(value))]


def _digests(output: str) -> list[str]:
    files = [path for folder in SAME for path, _, _ in storage.files_below(storage.join(output, folder))]
    return [storage.sha256(path) for path in files]


if __name__ == "__main__":
    run(app)
