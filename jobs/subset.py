"""Writes the set that shards are of as a DataComp subset file: the source_uids of its pairs, sorted, as NumPy u8,u8."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.job import new_app, run
from pipeline.progress import say
from pipeline.shards.subset import write_subset

app = new_app()


@app.command(help=__doc__)
def main(
    input: Annotated[str, typer.Option(help="The output folder of a run.")],
    file: Annotated[Path, typer.Option(help="The .npy file to write.")],
) -> None:
    """Writes it."""
    say(f"{write_subset(input, file):,} uids: {file}")


if __name__ == "__main__":
    run(app)
