"""What a person sees of a forecast: a table of stages, and what it needs."""

from typing import Any

from rich.table import Table

from pipeline.plan import cost
from pipeline.plan.forecast import Forecast
from pipeline.plan.room import disk_free, memory
from pipeline.room import shown


def as_json(found: Forecast, output: str, cores: cost.Cores) -> dict[str, Any]:
    """A forecast as plain values."""
    here = cost.Cores.here()
    return {
        "rows": round(found.rows),
        "sampled": found.sampled,
        "whole_input_read": found.whole,
        "stages": [
            {
                "stage": stage.name,
                "in": round(stage.rows_in),
                "dropped": {reason: round(rows) for reason, rows in sorted(stage.dropped.items())},
                "out": round(stage.rows_out),
                "core_seconds": round(stage.core_seconds, 1),
                "bytes": round(stage.stays),
                "scratch_bytes": round(stage.on_the_way),
                "shuffled_bytes": round(stage.shuffled),
            }
            for stage in found.stages
        ],
        "t": {name: round(t, 1) for name, t in found.t.items()},
        "bytes": round(found.stays),
        "most_disk_bytes": round(found.most_disk),
        "worker_memory_bytes": round(found.worker_memory),
        "memory_bytes": round(found.memory(here)),
        "seconds_here": round(found.seconds(here)),
        **({"seconds_on_executors": round(found.seconds(cores))} if cores.executors else {}),
        "free_disk_bytes": disk_free(output),
        "guessed": found.guessed,
    }


def stage_table(told: dict[str, Any]) -> Table:
    """The stages of a forecast."""
    table = Table(title=None, header_style="bold", pad_edge=False)
    for heading in ("stage", "in", "dropped", "out", "core-s", "on disk", "scratch"):
        table.add_column(heading, justify="left" if heading in ("stage", "dropped") else "right")
    for stage in told["stages"]:
        dropped = "\n".join(f"{rows:,} {reason}" for reason, rows in stage["dropped"].items() if rows)
        table.add_row(
            stage["stage"], f"{stage['in']:,}", dropped, f"{stage['out']:,}", f"{stage['core_seconds']:,.0f}",
            shown(stage["bytes"]), shown(stage["scratch_bytes"]),
        )  # fmt: skip
    return table


def lines(told: dict[str, Any], cores: cost.Cores) -> list[str]:
    """What a run needs, in words."""
    read = "all of it read" if told["whole_input_read"] else "read at random places"
    free, there = told["free_disk_bytes"], memory()
    here = cost.Cores.here()
    found = [
        f"From {told['sampled']:,} of {told['rows']:,} rows, {read}.",
        f"Disk: {shown(told['bytes'])} when it is done, {shown(told['most_disk_bytes'])} at most on the way"
        + ("" if free is None else f"; {shown(free)} are free") + ".",
        f"Memory: {shown(told['memory_bytes'])} on this machine, with {here.cores} workers of "
        + shown(told["worker_memory_bytes"]) + ("" if there is None else f"; it has {shown(there)}") + ".",
        f"Time: {duration(told['seconds_here'])} on the {here.cores} cores of this machine.",
    ]  # fmt: skip
    if cores.executors:
        found.append(f"Time: {duration(told['seconds_on_executors'])} on {cores.executors} executors of {cores.cores} "
                     "cores, where the storage keeps up.")  # fmt: skip
    if told["guessed"]:
        found.append(f"Not known from the input, and guessed: {'; '.join(told['guessed'])}.")
    return found


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
