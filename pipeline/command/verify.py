"""``metaclip-pipeline verify``, ``python -m pipeline.command.verify``: is a finished set what it says?"""

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from pipeline.job import examples, new_app, run
from pipeline.progress import say

app = new_app()


@app.command(epilog=examples("metaclip-pipeline verify output/demo"))
def main(output: Annotated[str, typer.Argument(help="The folder of a finished output, or its URL.")]) -> None:
    """Checks a finished set against its manifest and itself. A line for each thing that is wrong, and exit code 1.

    Every file is read: sizes, SHA-256, schemas, rows across the stages, no pair or key twice, shards as their index
    and the table of pairs have them, draws and counts recomputed.
    """
    started, found = time.monotonic(), 0
    for line in findings(output):
        say(line)
        found += 1
    seconds = time.monotonic() - started
    if found:
        say(f"{found:,} finding{'s' if found > 1 else ''} in {seconds:.1f} s: {output}")
        raise typer.Exit(1)
    say(f"No findings in {seconds:.1f} s: {output}")


def findings(output: str) -> Iterator[str]:
    """A line for each thing that is wrong with an output."""
    from pipeline import record, tables
    from pipeline.output import OURS
    from pipeline.stages import STAGES, stages_of
    from pipeline.verify.check import Written, verify
    from pipeline.verify.opened import opened

    place, recipe, problem = opened(output)
    if problem:
        yield problem
    if recipe is None:
        stages = [stage.name for stage in STAGES if record.load(place, stage.name)]
    else:
        stages = [stage.name for stage in stages_of(recipe)]
    columns = {"pairs": tables.PAIRS, "matched": tables.MATCHED, "clusters": tables.CLUSTERS}
    columns |= dict.fromkeys(("curated", "filtered", "final"), tables.CURATED)
    columns = {table: tables.arrow_schema(schema) for table, schema in columns.items()}
    columns |= dict.fromkeys(("thresholds", "final_thresholds"), tables.THRESHOLDS)
    columns["entry_counts"] = tables.ENTRY_COUNTS
    folders = {stage.name: stage.folders for stage in STAGES}
    yield from verify(place, recipe, stages, Written(folders, frozenset(OURS), columns))


if __name__ == "__main__":
    run(app)
