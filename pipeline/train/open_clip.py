"""``python -m pipeline.train.open_clip``: an exported CLIP or MetaCLIP model in open_clip's format.

Writes ``open_clip_config.json``, ``open_clip_model.safetensors`` and the tokenizer; open_clip loads the folder by
``local-dir:FOLDER``. ALIGN has no place there, and the width of a head must be 64.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.progress import say
from pipeline.train.evaluate import ModelOption
from pipeline.train.outputs import check_folder, write_file

app = new_app()


@app.command(
    "open-clip",
    help="Writes an exported CLIP or MetaCLIP model in open_clip's format: open_clip_config.json, "
    "open_clip_model.safetensors and the tokenizer. open_clip loads the folder by local-dir:FOLDER. ALIGN has no place "
    "there, and the width of a head must be 64.",
    epilog=examples("metaclip-pipeline export open-clip --model run/model --output open-clip"),
)
def main(
    model: ModelOption, output: Annotated[Path, typer.Option(help="The folder to write.", rich_help_panel=PLACES)]
) -> None:
    """Converts."""
    from safetensors.torch import save_file
    from transformers import AutoModel

    from pipeline.train.init_from import given_bias, given_normalisation
    from pipeline.train.open_clip_model import CONFIG, WEIGHTS, open_clip_config, open_clip_weights
    from pipeline.train.tokenizer import load_tokenizer

    check_folder("--output", output, [model], CONFIG, WEIGHTS)
    if not (model / "config.json").is_file():
        raise UsageError(f"--model {model}: no config.json; give the folder of an exported model")
    loaded = AutoModel.from_pretrained(model, local_files_only=True)
    tokenizer = load_tokenizer(model)
    config = open_clip_config(loaded, str(output), given_normalisation(str(model), loaded.config, "--model"))
    output.mkdir(parents=True, exist_ok=True)
    part = output / ".weights.part"
    bias = given_bias(str(model), "--model")
    if bias is not None:
        config["model_cfg"] |= {"init_logit_bias": bias}
    save_file(open_clip_weights(loaded, bias), part, {"format": "pt"})
    part.replace(output / WEIGHTS)
    tokenizer.save_pretrained(output)
    write_file(output / CONFIG, json.dumps(config, indent=2) + "\n")
    say(f"Written: {output}; open_clip.create_model('local-dir:{output}')")


if __name__ == "__main__":
    run(app)
