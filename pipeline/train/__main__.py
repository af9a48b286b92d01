"""``python -m pipeline.train``: trains a model on shards; the same command goes on where a run stopped."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.job import SetOption, new_app, run
from pipeline.progress import say

app = new_app()


@app.command(help=__doc__)
def main(
    recipe: Annotated[
        str, typer.Option(help="A bundled recipe's name (nano, micro, vit-b-16 …), or a YAML file.")
    ] = "nano",
    shards: Annotated[list[str] | None, typer.Option(help="A tar, or a folder of tars (again for more).")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the run goes; output/train/<recipe name> by default.")
    ] = None,
    set: SetOption = None,
    init_from: Annotated[str | None, typer.Option(help="An exported model's folder to start from.")] = None,
    log_samples: Annotated[bool, typer.Option("--log-samples", help="Write the keys of each batch.")] = False,
    stop_after: Annotated[int | None, typer.Option(help="End after so many steps, with a checkpoint.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Start anew where there is a run.")] = False,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Go on with another optimizer setting, precision, crop or the like.")
    ] = False,
    tokenizer_only: Annotated[bool, typer.Option("--tokenizer-only", help="Train the tokenizer alone.")] = False,
) -> int | None:
    """Trains."""
    from pipeline.train.distributed import destroy_process_group, init_process_group
    from pipeline.train.loop import train
    from pipeline.train.recipe import load_train_recipe
    from pipeline.train.start import prepare

    found = load_train_recipe(recipe, set, shards)
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
            return 128 + last["stopped"]
        if group.is_main and "loss" in last:
            say(f"Step {last['step']:,}: loss {last['loss']:.4f}, {last['samples_per_second']:,.0f} samples/s")
        return None
    finally:
        destroy_process_group()


if __name__ == "__main__":
    run(app)
