"""``metaclip-pipeline report`` and ``diff``, ``python -m pipeline.report``: a page of an output, or of two."""

from typing import Annotated

import typer

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.progress import running, say

app = new_app()


@app.command(epilog=examples("metaclip-pipeline report output/demo"))
def report(output: Annotated[str, typer.Argument(help="The folder of a finished output.")]) -> None:
    """Writes report.html into an output, as curate does at the end of a run."""
    from pipeline.report.page.report import write_report

    with running("Writing the report"):
        try:
            path = write_report(_opened(output))
        except OSError as error:
            raise UsageError(f"{output}: the report cannot be written: {error.strerror or error}") from None
    say(f"Report: {path}")


@app.command(epilog=examples("metaclip-pipeline diff output/before output/after --output diff.html"))
def diff(
    a: Annotated[str, typer.Argument(help="The output that was.")],
    b: Annotated[str, typer.Argument(help="The output that is.")],
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="The page; diff.html in the current folder by default.", rich_help_panel=PLACES
        ),
    ] = None,
) -> None:
    """Writes a page of what differs between two outputs: pairs that entered and left, entries that moved."""
    from pipeline.report.page.diff import write_diff

    place = storage.absolute(output or "diff.html")
    with running("Comparing"):
        try:
            path = write_diff(_opened(a), _opened(b), place)
        except OSError as error:
            raise UsageError(f"--output {place}: the page cannot be written: {error.strerror or error}") from None
    say(f"Report: {path}")


def _opened(folder: str):
    from pipeline.recipe import load_recipe
    from pipeline.report.page.source import Output
    from pipeline.stages import STAGES, stages_of

    path = storage.absolute(folder)
    try:
        stages = stages_of(load_recipe(storage.join(path, "recipe.yaml")))
    except UsageError:  # Of another version, or what it names is gone.
        stages = STAGES
    return Output.open(path, {stage.name: tuple(stage.tables) for stage in stages})


if __name__ == "__main__":
    run(app)
