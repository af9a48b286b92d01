"""``metaclip-pipeline explain``, ``python -m pipeline.command.explain``: where a pair is, or why it went."""

import json
from typing import Annotated, Any

import typer

from pipeline.job import HOW, examples, new_app, run
from pipeline.progress import results, say

# The width of lines that go to a file or another program, so that these are whole.
UNWRAPPED = 4096
app = new_app()


@app.command(
    epilog=examples(
        "metaclip-pipeline explain output/demo https://example.org/cat.jpg",
        "metaclip-pipeline explain output/demo 'a red cat on a roof' --json",
    )
)
def main(
    output: Annotated[str, typer.Argument(help="The folder of an output, or its URL.")],
    what: Annotated[str, typer.Argument(help="A URL, an image_id, a pair_id, a shard's key or a text.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="KIND", help="Take it for a url, image_id, pair_id, key or text.", rich_help_panel=HOW
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="With a URL: the pair of it and this text.", rich_help_panel=HOW)
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Show so many pairs.", rich_help_panel=HOW)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=HOW)] = False,
) -> None:
    """Says where a pair, image or text is now, or which stage dropped it and why.

    The first question by URL, image_id or text makes an index in the output's hidden folder .index.
    """
    from rich.console import Console

    from pipeline.explain.show import summary, trees

    told = explained(output, what, kind, text, most)
    if as_json:
        say(json.dumps(told, indent=2, ensure_ascii=False))
        return
    shown = results if results.is_terminal else Console(highlight=False, width=UNWRAPPED)
    for tree in trees(told):
        shown.print(tree)
    say(summary(told))


def explained(
    output: str, what: str, kind: str | None = None, text: str | None = None, most: int = 20
) -> dict[str, Any]:
    """The answer as plain values."""
    from pipeline.errors import UsageError
    from pipeline.explain.answer import answer
    from pipeline.explain.asked import Set
    from pipeline.report.page.source import Output
    from pipeline.stages import stages_of
    from pipeline.verify.opened import opened

    place, recipe, problem = opened(output)
    if recipe is None:
        raise UsageError(f"{output}: {problem}")
    found = Output.open(place, {stage.name: tuple(stage.tables) for stage in stages_of(recipe)})
    return answer(Set(found, recipe), what, kind, text, most)


if __name__ == "__main__":
    run(app)
