"""``python -m benchmarks.whole --texts FILE --entries FILE``: a whole curation beside a script for the same.

``python jobs/curate.py``, as a user starts it, and ``python -m benchmarks.script``, what anyone would write, each a
process of its own, in turns, on one pool (``benchmarks.pool``), with the same entries and the same ``balance.t``. Ours
also removes exact duplicates, gives every pair ids, writes what the later stages need and a manifest with hashes, and
with the scope ``text`` removes near-duplicates; the script does none of it. A small pool goes through both first, so
that kernels are compiled and programs are in memory.
"""

import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.dataset as pads
import typer
from rich.table import Table

from benchmarks.compare import read_lines, read_texts, write_json
from benchmarks.pool import write_pool
from benchmarks.process import Taken, measured
from pipeline.errors import PipelineError
from pipeline.job import new_app, run
from pipeline.progress import results, say

SCRIPT = "script"
WARM_PAIRS, FILE_ROWS = 20_000, 250_000
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    entries: Annotated[Path, typer.Option(help="Entries, one a line (plain, gz, zst).")],
    pairs: Annotated[str, typer.Option(help="Sizes of the pool, with commas between.")] = "2000000,10000000",
    scope: Annotated[str, typer.Option(help="none, text or both: dedupe.scope of ours.")] = "none,text",
    turns: Annotated[int, typer.Option(help="Turns of each; the fastest counts, and the most memory.")] = 2,
    t: Annotated[int, typer.Option(help="balance.t of both.")] = 20_000,
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "whole",
) -> None:
    """Measures and reports."""
    lines, facts = read_texts(texts), []
    with tempfile.TemporaryDirectory(prefix="metaclip-whole-") as folder:
        work = Path(folder)
        (work / "entries.txt").write_text("\n".join(read_lines(entries)) + "\n", encoding="utf-8")
        for size in [WARM_PAIRS, *map(int, pairs.split(","))]:
            write_pool(lines, size, work / "pool", file_rows=FILE_ROWS)
            found = compare(work, size, scope.split(","), t, 1 if size == WARM_PAIRS else turns)
            facts += found if size != WARM_PAIRS else []
            shutil.rmtree(work / "pool")
    table = Table(title=f"{os.cpu_count()} cores, t {t:,}, best of {turns}", header_style="bold", pad_edge=False)
    for heading in ("pairs", "", "seconds", "core-s", "peak GB", "kept"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for fact in facts:
        peer = next(f for f in facts if f["pairs"] == fact["pairs"] and f["way"] == SCRIPT)
        cells = []
        for key, shown in (
            ("seconds", f"{fact['seconds']:.1f}"),
            ("core_seconds", f"{fact['core_seconds']:.1f}"),
            ("peak_bytes", f"{fact['peak_bytes'] / 1e9:.2f}"),
        ):
            fact[f"{key}_ratio"] = fact[key] / peer[key]
            cells.append(f"{shown} {fact[f'{key}_ratio']:5.2f}x")
        table.add_row(f"{fact['pairs']:,}", fact["way"], *cells, f"{fact['kept']:,}")
    results.print(table)
    say("x: times what the script takes. Memory: the tree's PSS, sampled.")
    write_json(name, {"cores": os.cpu_count(), "t": t, "turns": turns, "runs": facts})


def compare(work: Path, size: int, scopes: list[str], t: int, turns: int) -> list[dict[str, Any]]:
    """What the script and ours with each scope take for the pool in ``work``, and how many pairs they keep."""
    script = [sys.executable, "-m", "benchmarks.script", str(work / "pool"), str(work / "entries.txt")]
    script += [str(work / SCRIPT), "--t", str(t)]
    commands = {SCRIPT: script} | {f"ours, {scope}": curate(work, scope, t) for scope in scopes}
    taken: dict[str, list[Taken]] = {way: [] for way in commands}
    for _ in range(turns):
        for way, command in commands.items():
            shutil.rmtree(work / output_of(way), ignore_errors=True)
            taken[way].append(measured(command))
            say(f"{size:,} pairs, {way}: {taken[way][-1]}")
    kept = {way: check(work, way) for way in commands}
    return [
        {
            "pairs": size,
            "way": way,
            "seconds": min(turn.seconds for turn in took),
            "core_seconds": min(turn.core_seconds for turn in took),
            "peak_bytes": max(turn.peak_bytes for turn in took),
            "kept": kept[way],
            "turns": [asdict(turn) for turn in took],
        }
        for way, took in taken.items()
    ]


def curate(work: Path, scope: str, t: int) -> list[str]:
    """The command of ours with a scope of de-duplication."""
    settings = [
        "language.identify=none", "language.keep=[]", f"entries.en={work / 'entries.txt'}", f"dedupe.scope={scope}",
        f"balance.t={t}",
    ]  # fmt: skip
    options = ["--recipe", "metaclip-400m", "--input", str(work / "pool")]
    options += ["--output", str(work / output_of(f"ours, {scope}"))]
    return [sys.executable, "jobs/curate.py", *options, *(part for one in settings for part in ("--set", one))]


def output_of(way: str) -> str:
    """The folder that a way writes to."""
    return way.replace(", ", "-")


def check(work: Path, way: str) -> int:
    """The pairs that a way kept; raises ``PipelineError`` where they are not of the matches that the script found.

    Without de-duplication every entry has as many pairs as the script counts (the URLs of the pool are distinct), and
    the numbers of kept pairs differ by no more than two draws of one expectation do.
    """
    by_script = pads.dataset(work / SCRIPT / "curated").count_rows()
    if way == SCRIPT:
        return by_script
    out = work / output_of(way)
    stages = {stage["stage"]: stage["out"] for stage in json.loads((out / "summary.json").read_text())["stages"]}
    matched = pads.dataset(work / SCRIPT / "matched").count_rows()
    if stages["match"] != matched:
        raise PipelineError(f"{way}: matched {stages['match']:,} pairs, the script {matched:,}")
    if way == "ours, none":
        counts = pads.dataset(out / "entry_counts").to_table(columns=["count"])["count"].to_numpy()
        if not np.array_equal(counts, np.load(work / SCRIPT / "counts.npy")):
            raise PipelineError(f"{way}: {counts.sum():,} matches that are not those of the script")
        if abs(stages["balance"] - by_script) > 5 * (stages["balance"] + by_script) ** 0.5:
            raise PipelineError(f"{way}: kept {stages['balance']:,} pairs, the script {by_script:,}")
    return stages["balance"]


if __name__ == "__main__":
    run(app)
