"""What a person sees of a run: the stage that runs, its rows and their rate, and a table at the end.

On a terminal a live line; elsewhere one line when a stage starts and one when it ends. Rows are those that the running
Spark stages have read or written so far.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pipeline.secrets import public

# Progress and errors go to stderr, results to stdout.
console = Console(stderr=True, highlight=False)
results = Console(highlight=False)
POLL_SECONDS = 0.5


@contextmanager
def running(title: str, session=None) -> Iterator[None]:
    """Shows that a stage runs, with what its tasks have done so far."""
    if not console.is_terminal:
        if session is not None:
            console.print(f"{title} …")
        yield
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[done]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None, done="")
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(progress, task, session, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join(timeout=5)


@contextmanager
def counting(title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows how much of ``total`` is done, on a terminal alone; what it gives is told of more."""
    if not console.is_terminal:
        yield lambda more: None
        return
    amount = DownloadColumn() if unit == "bytes" else TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit)
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)


def _watch(progress: Progress, task: int, session, stop: threading.Event) -> None:
    """Polls what the session's tasks have done."""
    while session is not None and not stop.wait(POLL_SECONDS):
        try:
            done = session.done() if hasattr(session, "done") else _done(session)
        except Exception:  # A display must never stop the work: the store may be gone at the end of a session.
            return
        progress.update(task, done=done)


def _done(spark) -> str:
    """By Spark's own record of its stages, which is there with the web page off."""
    active = spark.sparkContext._jsc.sc().statusStore().activeStages()
    stages = [active.apply(i) for i in range(active.size())]
    rows = sum(
        max(s.inputRecords(), s.outputRecords(), s.shuffleWriteRecords(), s.shuffleReadRecords()) for s in stages
    )
    done, tasks = (sum(getattr(s, name)() for s in stages) for name in ("numCompleteTasks", "numTasks"))
    seconds = sum(_running_seconds(s) for s in stages[:1])
    rate = f", {rows / seconds:,.0f}/s" if rows and seconds > 1 else ""
    return f"{done}/{tasks} tasks, {rows:,} rows{rate}" if tasks else ""


def _running_seconds(stage) -> float:
    started = stage.firstTaskLaunchedTime()
    return time.time() - started.get().getTime() / 1000 if started.isDefined() else 0.0


def say(line: str) -> None:
    """Prints a line of results as it is, however long; URLs without keys."""
    results.print(public(line), markup=False, soft_wrap=True)


def summary_table(stages: list[dict]) -> Table:
    """The table of a run: rows in, dropped by reason, out, seconds, for every stage."""
    table = Table(title=None, header_style="bold", pad_edge=False)
    for heading, justify in (
        ("stage", "left"),
        ("in", "right"),
        ("dropped", "left"),
        ("out", "right"),
        ("seconds", "right"),
    ):
        table.add_column(heading, justify=justify)
    for stage in stages:
        dropped = [f"{rows:,} {reason}" for reason, rows in stage["dropped"].items()]
        seconds = f"{stage['seconds']:.1f}" + (" (earlier)" if stage["skipped"] else "")
        table.add_row(stage["stage"], f"{stage['in']:,}", "\n".join(dropped), f"{stage['out']:,}", seconds)
    return table
