"""``metaclip-pipeline groups``: how often a set's texts name groups, before and after each stage."""

import time
from typing import Annotated

import typer

from pipeline.job import PLACES, examples, new_app, run
from pipeline.progress import results, running, say

app = new_app()


@app.command(
    epilog=examples(
        "metaclip-pipeline groups output/demo",
        "metaclip-pipeline groups output/demo --groups gender --groups mine.yaml \\",
        "    --together mine,gender",
    ),
)
def main(
    output: Annotated[str, typer.Argument(help="The folder of an output, or its URL.")],
    groups: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A shipped file (age, gender, occupation, region) or a YAML file.",
            rich_help_panel=PLACES,
        ),
    ] = None,
    together: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Files whose groups are counted together.", rich_help_panel=PLACES),
    ] = None,
) -> None:
    """How often the texts of a set name groups of terms, from the pool through each stage, with ratios and intervals.

    Files of groups are YAML: a source, and under groups the terms of each. A text names a group where it has one of
    its terms as words, in any case. Written as groups.json into the output.
    """
    from pipeline import storage
    from pipeline.errors import UsageError
    from pipeline.groups.report import report
    from pipeline.groups.table import tables
    from pipeline.groups.terms import load_groups, shipped_groups

    started = time.monotonic()
    files = [load_groups(name) for name in groups or shipped_groups()]
    names = [found.name for found in files]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--groups: two files are called {twice[0]}; give files of other names")
    given = together or (["occupation,gender"] if {"occupation", "gender"} <= set(names) else [])
    pairs = []
    for text in given:
        parts = text.split(",")
        if len(parts) != 2 or not set(parts) <= set(names):
            raise UsageError(f"--together {text}: two of {', '.join(names)} with a comma between are allowed")
        pairs.append((parts[0], parts[1]))
    with running("Counting groups"):
        found = report(output, files, pairs)
    storage.write_json(storage.join(storage.absolute(output), "groups.json"), found)
    for table in tables(found):
        results.print(table)
    say(f"Results in {time.monotonic() - started:.1f} s: {storage.join(output, 'groups.json')}")


if __name__ == "__main__":
    run(app)
