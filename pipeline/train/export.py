"""The export: a ``save_pretrained`` folder that ``AutoModel``, ``AutoTokenizer`` and ``AutoProcessor`` load.

A run exports at its end; ``python -m pipeline.train.export`` exports any checkpoint, also of a run that goes on.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import UsageError
from pipeline.job import HOW, PLACES, examples, new_app, run
from pipeline.progress import say

if TYPE_CHECKING:
    from pipeline.train.models import Towers
    from pipeline.train.recipe import Model

app = new_app()


@app.command(
    "checkpoint",
    help="Exports a checkpoint of a run, finished or going on, as the model at its end is exported.",
    epilog=examples(
        "metaclip-pipeline export checkpoint --checkpoint run --output model",
        "metaclip-pipeline export checkpoint --output model --ema \\",
        "    --checkpoint run/checkpoints/step-00001000.pt",
    ),
)
def main(
    checkpoint: Annotated[
        Path,
        typer.Option(metavar="PATH", help="A checkpoint, or a run's folder: its newest.", rich_help_panel=PLACES),
    ],
    output: Annotated[Path, typer.Option(help="The folder to write.", rich_help_panel=PLACES)],
    ema: Annotated[
        bool, typer.Option("--ema", help="The average of the weights, in their place.", rich_help_panel=HOW)
    ] = False,
) -> None:
    """Exports a checkpoint."""
    from pipeline.train.architecture import from_plain
    from pipeline.train.checkpoint import latest, load
    from pipeline.train.outputs import check_folder
    from pipeline.train.recipe import TrainRecipe
    from pipeline.train.run_folder import read_record
    from pipeline.train.state import towers_in
    from pipeline.train.tokenizer import fit_length, load_tokenizer

    file = checkpoint
    if checkpoint.is_dir() and (file := latest(checkpoint / "checkpoints")) is None:
        raise UsageError(f"--checkpoint {checkpoint}: has no checkpoints; give a run's folder, or a checkpoint of one")
    if not file.is_file():
        raise UsageError(f"--checkpoint {file}: no such file")
    folder = file.resolve().parent.parent
    record = read_record(folder, "--checkpoint")
    if record is None or record.config is None:
        raise UsageError(f"--checkpoint {file}: lies in no run's folder, which says what model it is of")
    check_folder("--output", output, [file, folder], "training.json")
    recipe, config, saved = TrainRecipe.model_validate(record.recipe), from_plain(record.config), load(file)
    if ema and "ema" not in saved:
        raise UsageError(f"--ema: {file} has no average of the weights; the run has no ema.decay")
    tokenizer = load_tokenizer(folder / "tokenizer", option="--checkpoint")
    fit_length(tokenizer, config, named=True)
    seen = saved["step"] * recipe.batch
    facts = {"recipe": record.recipe, "steps": saved["step"], "samples": seen, "broken": saved["broken"], "ema": ema}
    export(towers_in(saved, config, recipe, ema), tokenizer, recipe.model, facts, output)
    say(f"Model after step {saved['step']:,}: {output}")


def export(towers: Towers, tokenizer, model: Model, facts: dict[str, Any], folder: Path) -> None:
    """Writes model, tokenizer, processor and ``training.json`` into ``folder``, in place of what is there."""
    from transformers import AlignProcessor, CLIPProcessor, SiglipProcessor

    from pipeline.train.models import build_processor

    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    towers.model.save_pretrained(part)
    image_processor = build_processor(model)
    processor = {"align": AlignProcessor, "siglip": SiglipProcessor}.get(model.kind, CLIPProcessor)
    processor(image_processor, tokenizer).save_pretrained(part)
    tokenizer.save_pretrained(part)
    image_processor.save_pretrained(part)
    bias = towers.logit_bias()
    bias = None if bias is None else float(bias.detach())
    (part / "training.json").write_text(json.dumps({"logit_bias": bias} | facts, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


if __name__ == "__main__":
    run(app)
