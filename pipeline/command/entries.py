"""``metaclip-pipeline entries``: what ``pipeline.entries`` does with lists, and ``build``, for which Spark counts."""

from typing import Annotated

import typer

from pipeline.entries.__main__ import app as lists
from pipeline.job import PLACES, RECIPE, SetOption, examples, new_app

app = new_app("Builds, shows, compares, checks and merges entry lists: files, or those that ship, by name (en).")


@app.command(
    help="Builds an entry list from WordNet, Wikipedia, packages and lists of your own.",
    epilog=examples(
        "metaclip-pipeline entries build --language cs --input cswiki.xml.bz2 \\",
        "    --input pageviews-20260101-000000.gz --output lists",
        "metaclip-pipeline entries build --recipe words --language it --output lists",
    ),
)
def build(
    recipe: Annotated[
        str, typer.Option(help="A bundled recipe's name, or a YAML file.", rich_help_panel=RECIPE)
    ] = "wikipedia",
    language: Annotated[
        str | None, typer.Option(help="The language, and the list's name.", rich_help_panel=RECIPE)
    ] = None,
    set: SetOption = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Dump, text, page views or WordNet (again for more).", rich_help_panel=PLACES
        ),
    ] = None,
    output: Annotated[
        str, typer.Option(help="The folder of the list and its manifest.json.", rich_help_panel=PLACES)
    ] = "output/metadata",
) -> None:
    """Builds, and shows what came of it."""
    from pipeline.entries.build.build import build
    from pipeline.entries.build.recipe import load_build_recipe
    from pipeline.entries.show import built

    found = load_build_recipe(recipe, set or [], language, input or [])
    built(build(found, output, _open_session), output)


def _open_session():
    from pipeline.session import open_session

    return open_session()


app.registered_commands += lists.registered_commands
