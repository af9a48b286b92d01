"""``metaclip-pipeline entries``, ``python -m pipeline.entries``: look at, compare, check and merge entry lists.

A list is a file, or the name of one that ships (``en``).
"""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.table import Table

from pipeline.entries.build.assemble import numbered, sources_of
from pipeline.entries.build.check import check_lists
from pipeline.entries.lint import REASONS, problem, repaired
from pipeline.entries.lists import list_table, load_list, read_texts, save_list
from pipeline.entries.show import stats as show_stats
from pipeline.errors import UsageError
from pipeline.job import examples, new_app, run
from pipeline.progress import results, say
from pipeline.recipe_file import PROJECT, found_path, local_path

app = new_app("Shows, compares, checks and merges entry lists: files, or those that ship, by name (en).")
ListArgument = Annotated[str, typer.Argument(help="A list file, or the name of one that ships.")]
FOUND = 20


def find(name: str) -> Path:
    """The file of a list."""
    path, shipped = local_path(name), PROJECT / "metadata" / f"{name}.parquet"
    if not path.is_file() and not shipped.is_file():
        known = ", ".join(sorted(file.stem for file in shipped.parent.glob("*.parquet"))) or "none"
        raise UsageError(f"{name}: no such file; lists that ship: {known}")
    return path if path.is_file() else shipped


def table_of(path: Path) -> pa.Table:
    """A list with the columns that its file has, at least ``entry_id`` and ``entry``."""
    if path.suffix.lower() == ".parquet" and {"entry_id", "entry"} <= set(pq.read_schema(path).names):
        return list_table(path, path.stem)
    entries = load_list(path.stem, path).entries
    return pa.table({"entry_id": pa.array(range(len(entries)), pa.int32()), "entry": entries})


@app.command(epilog=examples("metaclip-pipeline entries show en --containing retriever"))
def show(
    list: ListArgument,
    entry: Annotated[
        list[str] | None, typer.Option(metavar="ENTRY", help="An entry to look for (again for more).")
    ] = None,
    containing: Annotated[str | None, typer.Option(help="Entries with this in them.")] = None,
    most: Annotated[int, typer.Option(help="So many rows at most.")] = FOUND,
) -> None:
    """Shows entries: those asked for, those with a text in them, or the first ones."""
    table = table_of(find(list))
    rows = table.to_pylist()
    if entry:
        wanted = set(entry)
        rows = [row for row in rows if row["entry"] in wanted]
    elif containing:
        rows = [row for row in rows if containing in row["entry"]]
    shown = Table(header_style="bold")
    for name in table.column_names:
        shown.add_column(name, justify="left" if name in ("entry", "source") else "right")
    for row in rows[:most]:
        values = (
            "" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in row.values()
        )
        shown.add_row(*values)
    results.print(shown)
    missing = sorted(set(entry or []) - {row["entry"] for row in rows})
    for one in missing:
        say(f"{one!r}: not in the list" + (f"; it cannot match: {REASONS[problem(one)]}" if problem(one) else ""))
    if len(rows) > most:
        say(f"{len(rows):,} entries, of which {most} are shown (--most)")
    if missing:
        raise typer.Exit(1)


@app.command(epilog=examples("metaclip-pipeline entries stats de"))
def stats(list: ListArgument) -> None:
    """How many entries a list has, by source, words and length."""
    path = find(list)
    show_stats(str(list), table_of(path))


@app.command(epilog=examples("metaclip-pipeline entries diff en my.txt"))
def diff(
    first: ListArgument,
    second: ListArgument,
    most: Annotated[int, typer.Option(help="So many of each are shown.")] = FOUND,
) -> None:
    """What two lists have in common and what only one of them has, and whether ids stayed."""
    one, two = (load_list(name, find(name)).entries.to_pylist() for name in (first, second))
    places = {entry: place for place, entry in enumerate(two)}
    common = sum(entry in places for entry in one)
    moved = sum(places.get(entry, place) != place for place, entry in enumerate(one))
    gone, new = sorted(set(one) - set(two)), sorted(set(two) - set(one))
    shown = Table(show_header=False)
    counts = {"in both": common, f"only in {first}": len(gone), f"only in {second}": len(new)}
    for label, value in (counts | {"in both, with another id": moved}).items():
        shown.add_row(label, f"{value:,}")
    results.print(shown)
    for label, entries in ((first, gone), (second, new)):
        if entries:
            say(f"only in {label}: " + ", ".join(map(repr, entries[:most])) + (" …" if len(entries) > most else ""))


@app.command(epilog=examples("metaclip-pipeline entries lint my.txt --repair fixed.txt"))
def lint(
    list: ListArgument,
    repair: Annotated[Path | None, typer.Option(help="Write the list with those repaired to this file.")] = None,
) -> None:
    """Entries that can never match: how many, why, and some of them. Exit code 1 where there are any."""
    path = find(list)
    texts = read_texts(path)
    found: dict[str, list[str]] = {}
    for text in texts:
        if text.strip() and (why := problem(text)):
            found.setdefault(why, []).append(text)
    shown = Table(header_style="bold")
    for heading in ("entries", "problem", "such as"):
        shown.add_column(heading, justify="right" if heading == "entries" else "left")
    for why, entries in sorted(found.items()):
        shown.add_row(f"{len(entries):,}", REASONS[why], ", ".join(map(repr, entries[:3]))[:120])
    bad = sum(map(len, found.values()))
    if bad:
        results.print(shown)
    say(f"{bad:,} of {len(texts):,} entries cannot match")
    if repair is not None:
        whole = [repaired(text) if problem(text) else text for text in texts if text.strip()]
        kept = [*dict.fromkeys(text for text in whole if problem(text) is None)]
        save_list(kept, repair)
        say(f"Written: {repair}, {len(kept):,} entries ({len(whole) - len(kept):,} the same as another then)")
    elif bad:
        raise typer.Exit(1)


@app.command(epilog=examples("metaclip-pipeline entries merge en my.txt --base --output en-my.parquet"))
def merge(
    lists: Annotated[list[str], typer.Argument(help="Lists, the most important first.")],
    output: Annotated[Path, typer.Option(help="The file of the merged list: .parquet, .txt, .txt.gz or .json.")],
    base: Annotated[bool, typer.Option("--base", help="The first list keeps its ids; new entries follow.")] = False,
) -> None:
    """Merges lists: sorted and numbered anew, or after the first. Source and score are of the first that has them."""
    parts = [sources_of(table_of(find(name))) for name in lists]
    merged: dict[str, tuple[str, float | None]] = {}
    for part in reversed(parts):
        merged |= part
    kept = parts[0] if base else {}
    save_list(numbered({entry: merged[entry] for entry in [*kept, *sorted(set(merged) - set(kept))]}), output)
    say(f"Written: {output}, {len(merged):,} entries of {sum(map(len, parts)):,}")


@app.command(epilog=examples("metaclip-pipeline entries check --wordnet wordnet/dict"))
def check(
    folder: Annotated[str, typer.Option(help="The folder with the lists and manifest.json.")] = "metadata",
    wordnet: Annotated[str | None, typer.Option(help="The WordNet, where a list is of one.")] = None,
) -> None:
    """Builds every list of a manifest again and compares it. Exit code 1 where one differs."""
    outcome = check_lists(found_path(folder), wordnet)
    for name, said in outcome.items():
        say(f"{name}: {said}")
    if any(said != "the same" for said in outcome.values()):
        raise typer.Exit(1)


if __name__ == "__main__":
    run(app)
