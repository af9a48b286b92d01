"""Times several ways to do one thing, turn by turn, and shows them as ratios."""

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from rich.table import Table

from pipeline.entries.lists import load_list
from pipeline.progress import results, say

ROUNDS = 3


def read_lines(file: Path) -> list[str]:
    """The distinct, non-blank lines of a text file (plain, gz or zst), in order."""
    return load_list("lines", file).entries.to_pylist()


def read_texts(file: Path) -> list[str]:
    """The lines of a text file (plain, gz or zst), repeats and all."""
    opener = {".zst": zstandard.open, ".gz": gzip.open}.get(file.suffix, open)
    with opener(file, "rt", encoding="utf-8") as stream:
        return stream.read().splitlines()


def rates(ways: dict[str, tuple[int, Callable[[], Any]]]) -> dict[str, float]:
    """Items a second of each way, (items, run): the best of ``ROUNDS`` turns, by the CPU time of this thread."""
    best = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        for name, (items, run) in ways.items():
            started = time.thread_time()
            run()
            best[name] = max(best[name], items / (time.thread_time() - started))
    return best


def report(name: str, unit: str, found: dict[str, float], facts: dict[str, Any]) -> None:
    """Shows a table of rates and of ours over each, and writes ``output/bench/<name>.json``. Ours comes first."""
    ours = next(iter(found.values()))
    table = Table(title=f"{name}: {', '.join(f'{key} {value}' for key, value in facts.items())}", header_style="bold")
    for heading in ("engine", f"{unit}/s, one core", "ours is faster by"):
        table.add_column(heading, justify="left" if heading == "engine" else "right")
    for engine, rate in found.items():
        table.add_row(engine, f"{rate:,.0f}", f"{ours / rate:.1f}x")
    results.print(table)
    ratios = {engine: ours / rate for engine, rate in found.items()}
    write_json(name, {"facts": facts, "rates": found, "ratios": ratios})


def write_json(name: str, content: dict[str, Any]) -> None:
    """Writes ``output/bench/<name>.json`` and says so."""
    file = Path("output/bench") / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")
    say(f"Written: {file}")
