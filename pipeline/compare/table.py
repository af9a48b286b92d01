"""A comparison as tables for the terminal."""

from typing import Any

from rich.markup import escape
from rich.table import Table


def cell(spread: dict[str, Any], scale: float = 100.0, digits: int = 1) -> str:
    """Mean ± standard deviation; of shares in per cent."""
    mean = f"{scale * spread['mean']:,.{digits}f}"
    return mean if spread["deviation"] is None else f"{mean} ± {scale * spread['deviation']:,.{digits}f}"


def rows_of(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The lines of the table: a name, and a cell a recipe."""
    lines = list(found["recipes"].values())
    rows = [
        ("pairs", [f"{line['pairs']:,}" for line in lines]),
        ("samples seen", [f"{line['samples_seen']:,}" for line in lines]),
        ("unique samples seen", [f"{line['unique_samples_seen']:,}" for line in lines]),
        ("repeats", [f"{line['repeats']:,.1f}" for line in lines]),
        ("curation, s", [f"{line['curation_seconds']:,.0f}" for line in lines]),
        ("training, s", [cell(line["training_seconds"], 1.0, 0) for line in lines]),
    ]
    names = list(lines[0]["measures"])
    return rows + [(f"{name}, %", [cell(line["measures"][name]) for line in lines]) for name in names]


def seeds(found: dict[str, Any]) -> str:
    """How many seeds there are, in words."""
    return "1 seed" if found["seeds"] == 1 else f"{found['seeds']} seeds"


def table(found: dict[str, Any]) -> Table:
    """Recipes side by side."""
    result = Table(
        header_style="bold",
        pad_edge=False,
        title=escape(f"{found['scale']}, {seeds(found)}: mean ± standard deviation"),
    )
    result.add_column("")
    for label in found["recipes"]:
        result.add_column(escape(label), justify="right")
    for name, cells in rows_of(found):
        result.add_row(escape(name), *cells)
    return result


def overlap_table(found: dict[str, Any]) -> Table:
    """What share of each recipe's pairs is in the others' sets."""
    result = Table(header_style="bold", pad_edge=False, title="share of a recipe's pairs (row) in another's set, %")
    result.add_column("")
    for label in found["in_common"]:
        result.add_column(escape(label), justify="right")
    for label, shares in found["in_common"].items():
        result.add_row(escape(label), *(f"{100 * share:.1f}" for share in shares.values()))
    return result
