"""Groups as tables for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

MOST = 30  # lines of a file's groups, those named most first


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """A table for each file of groups: the share of each in every table, and the last one's ratio to the pool's."""
    stages = found["tables"]
    last = list(stages)[-1]
    for name in found["sources"]:
        result = Table(header_style="bold", pad_edge=False, title=escape(f"{name}: texts that name the group, %"))
        result.add_column("")
        for stage in stages:
            result.add_column(stage, justify="right")
        result.add_column(f"{last} / {next(iter(stages))}", justify="right")
        lines = sorted(stages[last]["groups"][name].items(), key=lambda line: -line[1]["count"])
        lines = [line for line in lines if any(stage["groups"][name][line[0]]["count"] for stage in stages.values())]
        for group, line in lines[:MOST]:
            cells = [percent(stage["groups"][name][group]["share"]) for stage in stages.values()]
            result.add_row(escape(group), *cells, times(line["to_pool"]))
        if len(lines) > MOST:
            result.caption = f"and {len(lines) - MOST} more in the JSON file"
        yield result
    for key, of_groups in stages[last]["together"].items():
        result = Table(
            header_style="bold", pad_edge=False, title=escape(f"{key} in {last}: share of the first's texts, %")
        )
        result.add_column("")
        others = list(next(iter(of_groups.values()), {}))
        for other in others:
            result.add_column(escape(other), justify="right")
        lines = sorted(of_groups.items(), key=lambda line: -sum(both["count"] for both in line[1].values()))
        for one, line in lines[:MOST]:
            result.add_row(escape(one), *(interval(line[other]) for other in others))
        yield result


def percent(share: float | None) -> str:
    """A share in per cent."""
    return "" if share is None else f"{100 * share:.2f}"


def times(found: dict[str, Any] | None) -> str:
    """A ratio with its interval."""
    return "" if found is None else f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def interval(found: dict[str, Any]) -> str:
    """A share with its interval, in per cent."""
    if found["share"] is None:
        return ""
    return f"{100 * found['share']:.0f} ({100 * found['low']:.0f} to {100 * found['high']:.0f})"
