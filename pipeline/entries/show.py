"""What entry lists hold, as tables for a terminal."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.table import Table

from pipeline.progress import results, say


def built(part: dict[str, Any], output: str) -> None:
    """Shows a list's part of a manifest: entries by source, what was read, what was refused."""
    table = Table(title=f"{part['file']}: {part['entries']:,} entries", header_style="bold")
    for heading in ("", "source", "from", "entries", "its alone or first", "refused"):
        table.add_column(heading, justify="left" if heading in ("", "source", "from") else "right")
    for letter, source in part["sources"].items():
        for facts in source["parts"]:
            came = facts.get("from", "")
            came = came if isinstance(came, str) else ", ".join(came[:2]) + (" …" if len(came) > 2 else "")
            why = ", ".join(f"{count:,} {reason}" for reason, count in facts["refused"].items())
            table.add_row(letter, source["what"], came, f"{facts['entries']:,}", f"{facts['first']:,}", why)
    results.print(table)
    parts = [facts for source in part["sources"].values() for facts in source["parts"]]
    for counts in {
        str(facts[key]): facts[key] for facts in parts for key in ("records", "lines") if key in facts
    }.values():
        say("Read: " + ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))
    say(f"Results: {output}/{part['file']}, manifest.json")


def stats(name: str, table: pa.Table) -> dict[str, Any]:
    """How many entries a list has, by source, by words and by length; shows them."""
    entries = table["entry"].combine_chunks()
    words = pc.add(pc.count_substring(entries, " "), 1)
    lengths = pc.utf8_length(entries)
    found: dict[str, Any] = {"entries": len(entries)}
    found |= {
        f"of {count} word{'s' if count > 1 else ''}": pc.sum(pc.equal(words, count)).as_py() or 0 for count in (1, 2, 3)
    }
    found["of more words"] = pc.sum(pc.greater(words, 3)).as_py() or 0
    if len(entries):
        found["characters, median"] = pc.quantile(lengths, 0.5)[0].as_py()
        found["characters, most"] = pc.max(lengths).as_py()
        found["with a capital"] = pc.sum(pc.not_equal(pc.utf8_lower(entries), entries)).as_py()
    if "source" in table.column_names:
        counted = pc.value_counts(table["source"].combine_chunks()).to_pylist()
        for line in sorted(counted, key=lambda line: -line["counts"]):
            found[f"source {line['values'] or 'unknown'}"] = line["counts"]
    shown = Table(title=name, show_header=False)
    shown.add_column("")
    shown.add_column("", justify="right")
    for key, value in found.items():
        shown.add_row(key, f"{value:,.0f}")
    results.print(shown)
    return found
