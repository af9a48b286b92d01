"""What a range of thresholds would give, as lines for JSON and as a table for the terminal."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from pipeline.balance.size import WhatIf


def figures(found: list[WhatIf], dead_links: float) -> list[dict[str, Any]]:
    """The lines of the table; ``fetched`` is the size less the expected share of dead links."""
    return [asdict(line) | {"fetched": line.size * (1 - dead_links)} for line in found]


def table(lines: list[dict[str, Any]], dead_links: float) -> Table:
    """The lines for the terminal."""
    result = Table(header_style="bold", pad_edge=False)
    headings = ["t", "expected size", "tail share", "entries at cap"]
    if dead_links:
        headings.insert(2, f"less {dead_links:.0%} dead links")
    for heading in headings:
        result.add_column(heading, justify="right")
    for line in lines:
        cells = [
            f"{line['t']:,.0f}" if line["t"] == round(line["t"]) else f"{line['t']:,g}",
            f"{line['size']:,.0f}",
            f"{line['tail_share']:.4f}",
            f"{line['entries_at_cap']:,}",
        ]
        if dead_links:
            cells.insert(2, f"{line['fetched']:,.0f}")
        result.add_row(*cells)
    return result
