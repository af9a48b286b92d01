"""The commands of curation: ``curate``, each stage, and ``what-if``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.engine import choose
from pipeline.errors import UsageError
from pipeline.job import HOW, PLACES, RECIPE, ForceOption, SetOption, examples, new_app

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

DEMO = "demo"
WHAT_IF = "What if"


def _recipes() -> list[str]:
    from pipeline.recipe import bundled_recipes

    return bundled_recipes()


RecipeOption = Annotated[
    str, typer.Option(help="A bundled recipe's name, or a YAML file.", rich_help_panel=RECIPE, autocompletion=_recipes)
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH",
        help="The pool: file, folder or glob pattern (again for more). A later stage: the output before it.",
        rich_help_panel=PLACES,
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="Where the tables go; output/<recipe name> by default.", rich_help_panel=PLACES
    ),
]
LookInputOption = Annotated[
    list[str] | None,
    typer.Option(metavar="FOLDER", help="The finished output to look at; --output by default.", rich_help_panel=PLACES),
]
LookOutputOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Where what-if.json and what-if.png go; output/<recipe name> by default.",
        rich_help_panel=PLACES,
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Fail on a damaged input file instead of going on.", rich_help_panel=HOW)
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        callback=choose,
        metavar="ENGINE",
        help="Does the tasks: auto, local, local[N] (N at a time) or spark; by default METACLIP_ENGINE, or auto.",
        rich_help_panel=HOW,
    ),
]
ThresholdsOption = Annotated[
    list[float] | None,
    typer.Option(
        "--t", metavar="NUMBER", help="Look at this t (again for more) instead of a range.", rich_help_panel=WHAT_IF
    ),
]
DeadLinksOption = Annotated[
    float, typer.Option(min=0, max=1, help="Share of dead links to take off.", rich_help_panel=WHAT_IF)
]


def stage_app(stages: list[str] | None, about: str, *shown: str) -> typer.Typer:
    """The command of one stage, or of all of a recipe (None), and examples of it."""
    app = new_app()

    @app.command(help=about, epilog=examples(*shown))
    def main(
        recipe: RecipeOption = DEMO,
        input: InputOption = None,
        output: OutputOption = None,
        set: SetOption = None,
        force: ForceOption = False,
        strict: StrictOption = False,
        engine: EngineOption = None,
    ) -> None:
        _run(stages, recipe, input, output, set, force, strict)

    return app


extract = stage_app(
    ["extract"],
    "Reads a crawl, WAT or WARC files, into the tables crawl_files and extracted, the pool of the later stages.",
    "metaclip-pipeline extract --recipe crawl.yaml --input crawl/ --output out",
)
ingest = stage_app(
    ["ingest"],
    "Reads a pool of (URL, text) pairs into the table pairs.",
    "metaclip-pipeline ingest --recipe my.yaml --input 'pool/*.parquet'",
)
match = stage_app(
    ["match"],
    "Matches the texts of pairs against the entry lists: the table matched.",
    "metaclip-pipeline match --recipe my.yaml --set entries.en=my.txt",
)
dedupe = stage_app(
    ["dedupe"],
    "Finds near-duplicate texts of matched: the table clusters.",
    "metaclip-pipeline dedupe --recipe my.yaml --set dedupe.threshold=0.7",
)
images = stage_app(
    ["images"],
    "Fetches the images of the curated pairs from the web: the folders images and fetched.",
    "metaclip-pipeline images --recipe my.yaml --set images.fetch=true",
)
filtering = stage_app(
    ["filter"],
    "Drops curated pairs by rules for text and image, duplicates, block-lists, evaluation sets: the table filtered.",
    "metaclip-pipeline filter --recipe my.yaml --set filter.preset=align",
)
rebalance = stage_app(
    ["rebalance"],
    "Balances again over the pairs that survived fetching and filtering: the table final.",
    "metaclip-pipeline rebalance --recipe my.yaml --set rebalance.t=10000",
)
shards = stage_app(
    ["shards"],
    "Writes the curated pairs with their images as webdataset shards.",
    "metaclip-pipeline shards --recipe my.yaml --set shards.samples=5000",
)
curate, append, balance, what_if = new_app(), new_app(), new_app(), new_app()


@curate.command(
    help="Runs a recipe from a raw pool to curated tables and shards; finished stages are skipped. Without a recipe it "
    "runs the bundled demo, whose pool it builds first. With --append new files are added to a finished output.",
    epilog=examples(
        "metaclip-pipeline curate",
        "metaclip-pipeline curate --recipe metaclip-400m --input 'pool/*.parquet' \\",
        "    --set input.preset=laion --output out",
        "metaclip-pipeline curate --append 'new/*.parquet' --output out",
    ),
)
def all_stages(
    recipe: RecipeOption = DEMO,
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    force: ForceOption = False,
    strict: StrictOption = False,
    engine: EngineOption = None,
    append: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="New files for a finished output (again for more).", rich_help_panel=PLACES),
    ] = None,
) -> None:
    """Curates, or appends."""
    if not append:
        _run(None, recipe, input, output, set, force, strict)
        return
    if input or set or force:
        given = "--input" if input else "--set" if set else "--force"
        raise UsageError(f"--append: found {given}; the output has its recipe, so --output and --strict are allowed")
    add(output or resolve(recipe, None, None, None, None)[1], append, strict)


@append.command(
    help="Adds input files to a finished set. They alone are read; the set is then that of one run over all files.",
    epilog=examples("metaclip-pipeline append --output output/NAME --input 'new/*.parquet'"),
)
def add(
    output: Annotated[str, typer.Option(metavar="FOLDER", help="The finished set.", rich_help_panel=PLACES)],
    input: Annotated[
        list[str],
        typer.Option(
            metavar="PATH", help="New files: file, folder or glob pattern (again for more).", rich_help_panel=PLACES
        ),
    ],
    strict: StrictOption = False,
    engine: EngineOption = None,
) -> None:
    """Appends."""
    from pipeline.append import append

    append(output, input, strict)


@balance.command(
    help="Counts, thresholds and the draw: the tables entry_counts, thresholds and curated. With --what-if only looks.",
    epilog=examples("metaclip-pipeline balance --recipe my.yaml --set balance.t=5000"),
)
def balance_or_look(
    recipe: RecipeOption = DEMO,
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    force: ForceOption = False,
    strict: StrictOption = False,
    engine: EngineOption = None,
    what_if: Annotated[
        bool,
        typer.Option("--what-if", help="Show what a range of t would give; write no table.", rich_help_panel=WHAT_IF),
    ] = False,
    t: ThresholdsOption = None,
    dead_links: DeadLinksOption = 0.0,
) -> None:
    """Balances, or explores."""
    if what_if:
        look(recipe, input, output, set, t, dead_links)
    else:
        _run(["balance"], recipe, input, output, set, force, strict)


@what_if.command(
    help="Shows what a range of thresholds would give for a finished output: size, tail share, entries at cap, as a "
    "table, what-if.json and what-if.png. Changes no table of it.",
    epilog=examples(
        "metaclip-pipeline what-if",
        "metaclip-pipeline what-if --recipe my.yaml --t 10000 --t 20000",
    ),
)
def look(
    recipe: RecipeOption = DEMO,
    input: LookInputOption = None,
    output: LookOutputOption = None,
    set: SetOption = None,
    t: ThresholdsOption = None,
    dead_links: DeadLinksOption = 0.0,
    engine: EngineOption = None,
) -> None:
    """Explores."""
    from pipeline.explore import explore
    from pipeline.failure import in_words

    found, target, source = resolve(recipe, input, output, set, ["balance"])
    with in_words(target, "what-if"):
        explore(found, target, source, t, dead_links)


def _run(
    stages: list[str] | None,
    recipe: str,
    inputs: list[str] | None,
    output: str | None,
    overrides: list[str] | None,
    force: bool,
    strict: bool,
) -> None:
    found, target, source = resolve(recipe, inputs, output, overrides, stages)
    if stages is None:
        prepare_demo(found)
    begin(found, target, stages, force)
    from pipeline.curate import curate

    curate(found, target, stages, source, force, strict)


def resolve(
    recipe: str, inputs: list[str] | None, output: str | None, overrides: list[str] | None, stages: list[str] | None
) -> tuple["Recipe", str, str | None]:
    """The recipe, the output folder, and the folder of the tables before (None: the output folder itself).

    ``inputs`` are the pool for all stages (None) and for the first of the recipe, else that folder.
    """
    from pipeline.extract.options import KINDS
    from pipeline.recipe import load_recipe

    found = load_recipe(recipe, overrides)
    target = output or f"output/{found.name}"
    if stages is None or stages[0] == "extract" or (stages[0] == "ingest" and found.input.format not in KINDS):
        return load_recipe(recipe, overrides, inputs), target, None
    if inputs and len(inputs) > 1:
        raise UsageError(f"--input: one folder with the tables of the stage before is allowed, found {len(inputs)}")
    return found, target, inputs[0] if inputs else None


def prepare_demo(recipe: "Recipe") -> None:
    """Builds the demo's pool where a recipe reads it, unless it is there."""
    from pipeline.demo import FOLDER
    from pipeline.recipe_file import found_path

    if recipe.input.paths == [f"{FOLDER}/pairs.parquet"]:
        from pipeline.demo.__main__ import build

        build(Path(found_path(FOLDER)))


def begin(recipe: "Recipe", output: str, stages: list[str] | None, force: bool) -> None:
    """Starts the engine where there is surely something to do, so that it starts while the rest is imported."""
    from pipeline import engine, storage
    from pipeline.recipe import makes_dataframes

    if force or not storage.exists(storage.join(storage.absolute(output), "manifest.json")):
        engine.start(makes_dataframes(recipe, stages))
