"""``python -m pipeline.train.open_clip``: an exported CLIP or MetaCLIP model in open_clip's format.

Writes ``open_clip_config.json``, ``open_clip_model.safetensors`` and the tokenizer; open_clip loads the folder by
``local-dir:FOLDER``. ALIGN has no place there, and the width of a head must be 64.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import UsageError
from pipeline.job import PLACES, examples, new_app, run
from pipeline.progress import say
from pipeline.train.evaluate import ModelOption
from pipeline.train.outputs import check_folder, write_file

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

CONFIG, WEIGHTS, HEAD_WIDTH = "open_clip_config.json", "open_clip_model.safetensors", 64
TOWERS = {
    "text_model.": {
        "": "",
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm": "ln_final",
    },
    "vision_model.": {
        "": "visual.",
        "embeddings.class_embedding": "visual.class_embedding",
        "embeddings.patch_embedding.weight": "visual.conv1.weight",
        "embeddings.position_embedding.weight": "visual.positional_embedding",
        "pre_layrnorm": "visual.ln_pre",
        "post_layernorm": "visual.ln_post",
    },
}
LAYER = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
         "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
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

    from pipeline.train.export import given_bias
    from pipeline.train.tokenizer import load_tokenizer

    check_folder("--output", output, [model], CONFIG, WEIGHTS)
    if not (model / "config.json").is_file():
        raise UsageError(f"--model {model}: no config.json; give the folder of an exported model")
    loaded = AutoModel.from_pretrained(model, local_files_only=True)
    tokenizer = load_tokenizer(model)
    config = open_clip_config(loaded, str(output))
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


def open_clip_config(model: "PreTrainedModel", folder: str) -> dict[str, Any]:
    """open_clip's configuration of a model. ``UsageError`` for one that it cannot hold."""
    from transformers import AlignModel
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    if isinstance(model, AlignModel):
        raise UsageError("--model: an ALIGN model; open_clip's format is for CLIP and MetaCLIP models")
    vision, text = model.config.vision_config, model.config.text_config
    if vision.hidden_size != HEAD_WIDTH * vision.num_attention_heads:
        width = vision.hidden_size // vision.num_attention_heads
        raise UsageError(f"--model: its image tower's heads are {width} wide; allowed here: {HEAD_WIDTH}")
    return {
        "model_cfg": {
            "embed_dim": model.config.projection_dim,
            "quick_gelu": vision.hidden_act == "quick_gelu",
            "vision_cfg": {
                "image_size": vision.image_size,
                "layers": vision.num_hidden_layers,
                "width": vision.hidden_size,
                "head_width": HEAD_WIDTH,
                "mlp_ratio": vision.intermediate_size / vision.hidden_size,
                "patch_size": vision.patch_size,
            },
            "text_cfg": {
                "context_length": text.max_position_embeddings,
                "vocab_size": text.vocab_size,
                "width": text.hidden_size,
                "heads": text.num_attention_heads,
                "layers": text.num_hidden_layers,
                "mlp_ratio": text.intermediate_size / text.hidden_size,
                "pool_type": "eos",
                "eos_id": text.eos_token_id,
                "pad_id": text.pad_token_id,
                "hf_tokenizer_name": folder,
            },
        },
        "preprocess_cfg": {
            "mean": list(OPENAI_CLIP_MEAN),
            "std": list(OPENAI_CLIP_STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def open_clip_weights(model: "PreTrainedModel", bias: float | None = None) -> dict[str, "Tensor"]:
    """The weights by open_clip's names; the three projections of an attention are one tensor there.

    ``bias``: of the logits, where the model was trained with SigLIP's loss.
    """
    import torch

    weights = model.state_dict()
    found = {
        "logit_scale": weights["logit_scale"],
        "text_projection": weights["text_projection.weight"].T,
        "visual.proj": weights["visual_projection.weight"].T,
    }
    if bias is not None:
        found["logit_bias"] = torch.tensor(bias)
    for name, tensor in weights.items():
        tower = next((tower for tower in TOWERS if name.startswith(tower)), None)
        if tower is None or "position_ids" in name:
            continue
        names, rest = TOWERS[tower], name.removeprefix(tower)
        if not rest.startswith("encoder.layers."):
            known = next(ours for ours in names if ours and rest.startswith(ours))
            found[rest.replace(known, names[known])] = tensor
            continue
        number, _, part = rest.removeprefix("encoder.layers.").partition(".")
        layer = f"{names['']}transformer.resblocks.{number}."
        module, _, kind = part.rpartition(".")
        if module in LAYER:
            found[f"{layer}{LAYER[module]}.{kind}"] = tensor
        elif module == "self_attn.q_proj":
            prefix = name.removesuffix(f"q_proj.{kind}")
            all_three = torch.cat([weights[f"{prefix}{which}_proj.{kind}"] for which in "qkv"])
            found[f"{layer}attn.in_proj_{kind}"] = all_three
    return {name: tensor.contiguous() for name, tensor in found.items()}


if __name__ == "__main__":
    run(app)
