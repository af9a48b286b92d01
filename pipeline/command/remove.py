"""``metaclip-pipeline remove``, ``python -m pipeline.command.remove``: takes something out of a set, for good."""

from typing import Annotated, Any

import typer

from pipeline.job import HOW, examples, new_app, run
from pipeline.progress import say

app = new_app()


@app.command(
    epilog=examples(
        "metaclip-pipeline remove output/demo opted-out.txt",
        "metaclip-pipeline remove output/demo texts.parquet --as text --rebalance",
    )
)
def main(
    output: Annotated[str, typer.Argument(help="The folder of an output, or its URL.")],
    file: Annotated[str, typer.Argument(help="The list: one a line (also .gz), Parquet, CSV or JSON lines.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND",
            help="Take all for url, host, image_id, pair_id, key, sha256 (of images) or text.",
            rich_help_panel=HOW,
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="The column of a table with the values.", rich_help_panel=HOW)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much would go; change nothing.", rich_help_panel=HOW)
    ] = False,
    rebalance: Annotated[
        bool,
        typer.Option("--rebalance", help="Then draw again, over the pairs that are left.", rich_help_panel=HOW),
    ] = False,
) -> None:
    """Takes what a list names out of every table and shard, and keeps later runs from bringing it back.

    The list may name URLs, hosts (with all below them), image_ids, pair_ids, keys, SHA-256 of images, or texts. Without
    --as each line is what it looks like. The rest of the set stays as it is.
    """
    from pipeline.removal import remove

    told = remove(output, file, kind, column, dry_run, rebalance)
    for line in lines(told, dry_run):
        say(line)


def lines(told: dict[str, Any], dry_run: bool) -> list[str]:
    """What a person is told of a removal."""
    read = ", ".join(f"{count:,} {kind}" for kind, count in told["lines"].items())
    found = [f"Read: {read}"]
    if told["not_found"]:
        missing = ", ".join(f"{count:,} {kind}" for kind, count in told["not_found"].items())
        found.append(f"Not in the set: {missing}; they may not come in later either")
    what = "would go" if dry_run else "are gone"
    rows = ", ".join(f"{table} {count:,}" for table, count in told["rows"].items()) or "nothing"
    found.append(f"{told['pairs']:,} pairs and {told['images']:,} images {what}: {rows}")
    return found


if __name__ == "__main__":
    run(app)
