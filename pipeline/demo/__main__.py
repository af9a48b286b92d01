"""``python -m pipeline.demo``: builds the demo's pool in ``output/demo-pool``, where its recipe looks for it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.demo.pool import build_pool
from pipeline.job import new_app, run
from pipeline.progress import say

app = new_app()


@app.command(help=__doc__)
def main(
    folder: Annotated[Path, typer.Option(help="Where to build it.")] = Path("output/demo-pool"),
    force: Annotated[bool, typer.Option("--force", help="Build it again.")] = False,
) -> None:
    """Builds the pool and says what is in it."""
    counts = build_pool(folder, force)
    say(
        f"Demo pool: {counts['pairs']:,} pairs of {counts['named']:,} images "
        f"({counts['unnamed']:,} of {counts['pictures']:,} have no name and are left out; "
        f"{counts['evaluation_pairs']:,} pairs of {counts['evaluation_pictures']:,} images are kept for evaluation)"
    )


if __name__ == "__main__":
    run(app)
