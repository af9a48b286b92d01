"""``metaclip-pipeline compare``: recipes side by side at equal compute."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UsageError
from pipeline.job import HOW, PLACES, RECIPE, ForceOption, SetOption, examples, new_app, run

EVALUATION = "Evaluation"
app = new_app()


@app.command(
    epilog=examples(
        "metaclip-pipeline compare --recipes 'none random metaclip'",
        "metaclip-pipeline compare --recipes 'none align metaclip-400m:balance.t=500' \\",
        "    --pool 'pool/*.parquet' \\",
        "    --set images.root=images/ --set images.prefix=https:// \\",
        "    --retrieval heldout/",
    ),
)
def main(
    recipes: Annotated[
        str,
        typer.Option(
            help="Names or YAML files, with spaces between them (in quotes where they have some); "
            "NAME:key=value,key=value for settings of one.",
            rich_help_panel=RECIPE,
        ),
    ] = "none random metaclip",
    scale: Annotated[
        str, typer.Option(help="The training recipe: nano, micro, datacomp-small …", rich_help_panel=RECIPE)
    ] = "nano",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each recipe.", rich_help_panel=RECIPE)] = 3,
    set: SetOption = None,
    set_training: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Override of the training (again for more).", rich_help_panel=RECIPE),
    ] = None,
    random_as: Annotated[
        str | None,
        typer.Option(help="The recipe that random is as large as; the last one by default.", rich_help_panel=RECIPE),
    ] = None,
    pool: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="The pool (again for more); by default one is made.", rich_help_panel=PLACES),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where everything goes.", rich_help_panel=PLACES)
    ] = Path("output/compare"),
    classification: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="Zero-shot: a data set's folder.", rich_help_panel=EVALUATION),
    ] = None,
    retrieval: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Retrieval: a tar, or a folder of tars.", rich_help_panel=EVALUATION),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Of a training: one a GPU.", rich_help_panel=HOW)] = 1,
    force: ForceOption = False,
) -> None:
    """Curates one pool by each recipe, trains the same model on each set for as many samples seen, and evaluates.

    Sizes, repeats, seconds and measures, mean ± standard deviation over the seeds: as a table, compare.json and
    compare.html. The same command goes on where it was ended. Without --pool a pool as the web is, with a few concepts
    in most images and much noise, is made of the demo's drawings.
    """
    import shlex

    from pipeline.compare.compare import compare
    from pipeline.compare.comparison import Comparison

    try:
        wanted = tuple(shlex.split(recipes))
    except ValueError as error:
        raise UsageError(f"--recipes {recipes}: {error}") from None
    settings, held_out = list(set or []), list(classification or [])
    if not pool:
        from pipeline.demo import web

        web.build_web_pool(Path(web.FOLDER))
        pool = [f"{web.FOLDER}/pairs.parquet"]
        settings = [*web.SETTINGS, *settings]
        held_out = held_out or [f"{web.FOLDER}/evaluation"]
    compare(
        Comparison(
            recipes=wanted, pool=tuple(pool), output=output, classification=tuple(held_out),
            retrieval=tuple(retrieval or []), scale=scale, seeds=seeds, settings=tuple(settings),
            training=tuple(set_training or []), random_as=random_as, processes=processes,
        ),
        force,
    )  # fmt: skip


if __name__ == "__main__":
    run(app)
