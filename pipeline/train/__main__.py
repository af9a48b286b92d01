"""``metaclip-pipeline train``, ``python -m pipeline.train``: trains a model on shards, or goes on."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.job import HOW, PLACES, RECIPE, SetOption, examples, new_app, run
from pipeline.progress import say

app = new_app()


@app.command(
    help="Trains a model on shards; the same command goes on where a run stopped. On several GPUs: torchrun -m "
    "pipeline.train, with the same options.",
    epilog=examples(
        "metaclip-pipeline train --recipe nano --shards output/demo/shards",
        "torchrun --nproc-per-node 8 -m pipeline.train --recipe vit-b-16 \\",
        "    --shards shards/",
    ),
)
def main(
    recipe: Annotated[
        str,
        typer.Option(help="A bundled recipe's name (nano, micro, vit-b-16 …), or a YAML file.", rich_help_panel=RECIPE),
    ] = "nano",
    shards: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="A tar, a folder of tars, a pattern or a URL (again for more).", rich_help_panel=PLACES
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the run goes; output/train/<recipe name> by default.",
            rich_help_panel=PLACES,
        ),
    ] = None,
    set: SetOption = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="A model to start from, ours, transformers' or open_clip's.",
            rich_help_panel=PLACES,
        ),
    ] = None,
    log_samples: Annotated[
        bool, typer.Option("--log-samples", help="Write the keys of each batch.", rich_help_panel=HOW)
    ] = False,
    stop_after: Annotated[
        int | None, typer.Option(min=1, help="End after so many steps, with a checkpoint.", rich_help_panel=HOW)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start anew where there is a run.", rich_help_panel=HOW)
    ] = False,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes",
            help="Go on with another optimizer setting, precision, crop or the like.",
            rich_help_panel=HOW,
        ),
    ] = False,
    tokenizer_only: Annotated[
        bool, typer.Option("--tokenizer-only", help="Train the tokenizer alone.", rich_help_panel=HOW)
    ] = False,
) -> int | None:
    """Trains."""
    from pipeline.train.recipe import load_train_recipe

    found = load_train_recipe(recipe, set, shards)  # before torch, which takes seconds to import
    from pipeline.train.distributed import destroy_process_group, init_process_group
    from pipeline.train.loop import train
    from pipeline.train.start import prepare

    folder = output or Path("output/train") / found.name
    group = init_process_group()
    try:
        if tokenizer_only:
            start = prepare(found, folder, group, None, force)
            if start.saved is None:
                start.write(group, tokenizer_only=True)
            say(f"Tokenizer of {len(start.tokenizer):,} tokens: {folder / 'tokenizer'}")
            return None
        last = train(found, folder, group, init_from, log_samples, stop_after, force, allow_changes)
        if "stopped" in last:
            if group.is_main:
                say(f"Stopped after step {last['step']:,}, with a checkpoint; the same command goes on")
            raise SystemExit(128 + last["stopped"])
        if group.is_main and "loss" in last:
            say(f"Step {last['step']:,}: loss {last['loss']:.4f}, {last['samples_per_second']:,.0f} samples/s")
        return None
    finally:
        destroy_process_group()


if __name__ == "__main__":
    run(app)
