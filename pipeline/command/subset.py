"""``metaclip-pipeline subset``: a curated set as DataComp's subset file."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.job import PLACES, examples, new_app
from pipeline.progress import say

app = new_app()


@app.command(
    help="Writes the set that shards are of as a DataComp subset file: the source_uids of its pairs, sorted, as NumPy "
    "u8,u8.",
    epilog=examples("metaclip-pipeline subset --input output/NAME --file subset.npy"),
)
def main(
    input: Annotated[str, typer.Option(help="The output folder of a run.", rich_help_panel=PLACES)],
    file: Annotated[Path, typer.Option(help="The .npy file to write.", rich_help_panel=PLACES)],
) -> None:
    """Writes it."""
    from pipeline.shards.subset import write_subset

    say(f"{write_subset(input, file):,} uids: {file}")
