"""``metaclip-pipeline plan``, ``python -m pipeline.command.plan``: what would a run do, and does it fit?"""

import json
from typing import Annotated

import typer

from pipeline.command.curation import DEMO, InputOption, OutputOption, RecipeOption, prepare_demo
from pipeline.job import HOW, SetOption, examples, new_app, run
from pipeline.progress import results, say

app = new_app()
CLUSTER = "Cluster"


@app.command(
    epilog=examples(
        "metaclip-pipeline plan --recipe metaclip-400m --input 'pool/*.parquet'",
        "metaclip-pipeline plan --recipe my.yaml --executors 20 --cores 8",
    )
)
def main(
    recipe: RecipeOption = DEMO,
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    rows: Annotated[int, typer.Option(min=1000, help="Look at so many rows.", rich_help_panel=HOW)] = 200_000,
    seed: Annotated[int, typer.Option(help="Of the choice of rows.", rich_help_panel=HOW)] = 0,
    executors: Annotated[
        int, typer.Option(min=0, help="Also the time on so many executors.", rich_help_panel=CLUSTER)
    ] = 0,
    cores: Annotated[int, typer.Option(min=1, help="The cores of each.", rich_help_panel=CLUSTER)] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=HOW)] = False,
) -> None:
    """Forecasts a run from a sample of its input: rows, sizes, disk, memory and time by stage. Starts nothing.

    Exit code 2, with the line that curate would end with, where the disk or the memory does not suffice.
    """
    from pipeline.plan.cost import Cores
    from pipeline.plan.forecast import forecast
    from pipeline.plan.room import check_disk, check_memory
    from pipeline.plan.show import as_json as told_of
    from pipeline.plan.show import lines, stage_table
    from pipeline.recipe import load_recipe

    found = load_recipe(recipe, set, input)
    prepare_demo(found)
    target = output or f"output/{found.name}"
    forecasted, there = forecast(found, rows, seed), Cores(executors, cores)
    told = told_of(forecasted, target, there)
    if as_json:
        say(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        results.print(stage_table(told))
        for line in lines(told, there):
            say(line)
    check_disk(target, forecasted.most_disk)
    if not executors:
        check_memory(forecasted.memory(Cores.here()))


if __name__ == "__main__":
    run(app)
