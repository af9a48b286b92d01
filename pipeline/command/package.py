"""``metaclip-pipeline package``, ``python -m pipeline.command.package``: the environment of a cluster's executors."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.job import PLACES, examples, new_app, run
from pipeline.progress import running, say

app = new_app()


@app.command(
    epilog=examples(
        "metaclip-pipeline package --output environment.tar.gz",
        "metaclip-pipeline package --extra images --python /usr/bin/python3.11",
    )
)
def main(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The archive, a .tar.gz.", rich_help_panel=PLACES)
    ] = Path("output/environment.tar.gz"),
    extra: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of this package: images (again for more).")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="The interpreter on the executors' machines; this one's place.")
    ] = None,
) -> None:
    """Packs this package and all that it needs, as installed here, for the executors of a cluster.

    They get it with spark-submit --archives FILE#environment and PYSPARK_PYTHON=./environment/bin/python.
    """
    from pipeline.environment import write_archive

    with running(f"Packing {output}"):
        count = write_archive(output, extra or [], python)
    say(f"{output}: {count} packages, {output.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    run(app)
