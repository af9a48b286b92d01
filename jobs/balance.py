"""Counts, thresholds and the draw: the tables entry_counts, thresholds and curated. With --what-if only looks."""

from typing import Annotated

import typer

from pipeline.job import (
    ForceOption,
    InputOption,
    OutputOption,
    RecipeOption,
    SetOption,
    StrictOption,
    new_app,
    resolve,
    run,
)

app = new_app()


@app.command(help=__doc__)
def main(
    recipe: RecipeOption = "demo",
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    force: ForceOption = False,
    strict: StrictOption = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Show what a range of t would give; write no table.")
    ] = False,
    t: Annotated[
        list[float] | None, typer.Option(help="A t for --what-if (again for more) instead of a range.")
    ] = None,
    dead_links: Annotated[
        float, typer.Option(min=0, max=1, help="Share of dead links to take off in --what-if.")
    ] = 0.0,
) -> None:
    """Balances, or explores."""
    from pipeline.curate import curate
    from pipeline.explore import explore

    found, target, source = resolve(recipe, input, output, set, ["balance"])
    if what_if:
        explore(found, target, source, t, dead_links)
    else:
        curate(found, target, ["balance"], source, force, strict)


if __name__ == "__main__":
    run(app)
