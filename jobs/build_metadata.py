"""Builds an entry list from WordNet, Wikipedia, packages and lists of your own."""

from typing import Annotated

import typer

from pipeline.entries.build.build import build
from pipeline.entries.build.recipe import load_build_recipe
from pipeline.entries.show import built
from pipeline.job import SetOption, new_app, run
from pipeline.session import open_session

app = new_app()


@app.command(help=__doc__)
def main(
    recipe: Annotated[str, typer.Option(help="A bundled recipe's name, or a YAML file.")] = "wikipedia",
    language: Annotated[str | None, typer.Option(help="The language, and the list's name.")] = None,
    input: Annotated[list[str] | None, typer.Option(help="Dump, text, page views or WordNet (again for more).")] = None,
    output: Annotated[str, typer.Option(help="The folder of the list and its manifest.json.")] = "output/metadata",
    set: SetOption = None,
) -> None:
    """Builds, and shows what came of it."""
    found = load_build_recipe(recipe, set or [], language, input or [])
    built(build(found, output, open_session), output)


if __name__ == "__main__":
    run(app)
