"""A CLIP model in open_clip's format: its configuration and its weights, made of those of transformers and back.

Written for CLIP and MetaCLIP models; read of models whose towers are open_clip's own, plain transformers.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPConfig, MetaClip2Model, PretrainedConfig, PreTrainedModel

from pipeline.errors import UsageError
from pipeline.train.architecture import kind_of

CONFIG, WEIGHTS, HEAD_WIDTH, EPS = "open_clip_config.json", "open_clip_model.safetensors", 64, 1e-5
READ = (WEIGHTS, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_model.bin")
HIGHEST = 2  # An eos_token_id that means, to transformers' CLIP models, the highest id of a text.
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
TURNED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
# open_clip's defaults, of the keys that are read.
VISION = {"image_size": 224, "layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "mlp_ratio": 4.0,
        "pool_type": "argmax", "eos_id": 2, "pad_id": 0}  # fmt: skip
# Keys that change no vector of a trained model.
IDLE = {"hf_tokenizer_name", "tokenizer_kwargs", "tokenizer_mode", "patch_dropout", "init_logit_scale",
        "init_logit_bias", "custom_text", "quick_gelu", "embed_dim", "vision_cfg", "text_cfg"}  # fmt: skip


def open_clip_config(model: PreTrainedModel, folder: str, normal: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    """open_clip's configuration of a model. ``UsageError`` where it has none. ``normal``: its ``normalisation``."""
    if kind_of(model.config) not in ("clip", "metaclip2"):
        named = {"align": "an ALIGN", "siglip": "a SigLIP"}.get(kind_of(model.config), f"a {model.config.model_type}")
        raise UsageError(f"--model: {named} model; open_clip's format is for CLIP and MetaCLIP models")
    vision, text = model.config.vision_config, model.config.text_config
    if vision.hidden_size != HEAD_WIDTH * vision.num_attention_heads:
        width = vision.hidden_size // vision.num_attention_heads
        raise UsageError(f"--model: its image tower's heads are {width} wide; allowed here: {HEAD_WIDTH}")
    if vision.hidden_act != text.hidden_act or text.hidden_act not in ("gelu", "quick_gelu"):
        found = f"{vision.hidden_act} and {text.hidden_act}"
        raise UsageError(f"--model: its towers have hidden_act {found}; allowed here: gelu or quick_gelu for both")
    for eps in (vision.layer_norm_eps, text.layer_norm_eps):
        if eps != EPS:
            raise UsageError(f"--model: found layer_norm_eps {eps}; allowed here: {EPS}")
    legacy = text.eos_token_id == HIGHEST and not isinstance(model, MetaClip2Model)
    return {
        "model_cfg": {
            "embed_dim": model.config.projection_dim,
            "quick_gelu": vision.hidden_act == "quick_gelu",
            "vision_cfg": {
                "image_size": vision.image_size,
                "layers": vision.num_hidden_layers,
                "width": vision.hidden_size,
                "head_width": HEAD_WIDTH,
                "mlp_ratio": _ratio(vision),
                "patch_size": vision.patch_size,
            },
            "text_cfg": {
                "context_length": text.max_position_embeddings,
                "vocab_size": text.vocab_size,
                "width": text.hidden_size,
                "heads": text.num_attention_heads,
                "layers": text.num_hidden_layers,
                "mlp_ratio": _ratio(text),
                "pool_type": "argmax" if legacy else "eos",
                "eos_id": text.eos_token_id,
                "pad_id": text.pad_token_id,
                "hf_tokenizer_name": folder,
            },
        },
        "preprocess_cfg": {
            "mean": list(normal["mean"]),
            "std": list(normal["std"]),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


def _ratio(config: PretrainedConfig) -> float:
    """The width of the inner layers by that of the tower; open_clip rounds their product down."""
    ratio = config.intermediate_size / config.hidden_size
    return ratio if int(config.hidden_size * ratio) == config.intermediate_size else ratio * (1 + 1e-15)


def _places(model: PreTrainedModel) -> Iterator[tuple[str, str, int | None]]:
    """Each weight of a model, its name in open_clip and, where it is one of three in one tensor there, which."""
    yield "logit_scale", "logit_scale", None
    for name in model.state_dict():
        tower = next((tower for tower in TOWERS if name.startswith(tower)), None)
        if name in TURNED:
            yield name, TURNED[name], None
        if tower is None or "position_ids" in name:
            continue
        names, rest = TOWERS[tower], name.removeprefix(tower)
        if not rest.startswith("encoder.layers."):
            known = next(ours for ours in names if ours and rest.startswith(ours))
            yield name, rest.replace(known, names[known]), None
            continue
        number, _, part = rest.removeprefix("encoder.layers.").partition(".")
        layer = f"{names['']}transformer.resblocks.{number}."
        module, _, kind = part.rpartition(".")
        if module in LAYER:
            yield name, f"{layer}{LAYER[module]}.{kind}", None
        else:
            which = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj").index(module)
            yield name, f"{layer}attn.in_proj_{kind}", which


def open_clip_weights(model: PreTrainedModel, bias: float | None = None) -> dict[str, Tensor]:
    """The weights by open_clip's names; the three projections of an attention are one tensor there.

    ``bias``: of the logits, where the model was trained with SigLIP's loss.
    """
    weights, found, parts = model.state_dict(), {}, {}
    for name, theirs, which in _places(model):
        tensor = weights[name].T if name in TURNED else weights[name]
        if which is None:
            found[theirs] = tensor
        else:
            parts.setdefault(theirs, {})[which] = tensor
    found |= {name: torch.cat([three[which] for which in range(3)]) for name, three in parts.items()}
    if bias is not None:
        found["logit_bias"] = torch.tensor(bias)
    return {name: tensor.contiguous() for name, tensor in found.items()}


def read_config(folder: Path, option: str) -> dict[str, Any]:
    """``open_clip_config.json`` of a folder."""
    try:
        found = json.loads((folder / CONFIG).read_bytes())
        found["model_cfg"]["vision_cfg"], found["model_cfg"]["text_cfg"]
        return found
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{option} {folder}: {CONFIG} is not a model's") from None


def clip_config(folder: Path, option: str) -> CLIPConfig:
    """The configuration, as transformers has it, of a model in open_clip's format."""
    model = read_config(folder, option)["model_cfg"]
    where = f"{option} {folder}: {CONFIG}"
    vision = _known(model["vision_cfg"], VISION, f"{where}: vision_cfg")
    text = _known(model["text_cfg"], TEXT, f"{where}: text_cfg")
    _known(model, {}, where)
    if text["pool_type"] not in ("argmax", "eos"):
        raise UsageError(f"{where}: text_cfg.pool_type: found {text['pool_type']!r}; argmax and eos can be read")
    shared = {
        "hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu",
        "projection_dim": model["embed_dim"],
        "layer_norm_eps": EPS,
    }
    size, patch = (v[0] if isinstance(v, list) else v for v in (vision["image_size"], vision["patch_size"]))
    return CLIPConfig(
        projection_dim=model["embed_dim"],
        vision_config=shared | _tower(vision) | {
            "num_attention_heads": vision["width"] // vision["head_width"], "image_size": size, "patch_size": patch,
        },
        text_config=shared | _tower(text) | {
            "num_attention_heads": text["heads"], "max_position_embeddings": text["context_length"],
            "vocab_size": text["vocab_size"], "pad_token_id": text["pad_id"], "bos_token_id": None,
            "eos_token_id": text["eos_id"] if text["pool_type"] == "eos" else HIGHEST,
        },
    )  # fmt: skip


def _tower(options: dict[str, Any]) -> dict[str, int]:
    width = options["width"]
    inner = int(width * options["mlp_ratio"])
    return {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": options["layers"]}


def _known(given: dict[str, Any], defaults: dict[str, Any], where: str) -> dict[str, Any]:
    """The options that are read; ``UsageError`` where another is set that may change a vector."""
    for key, value in given.items():
        if key not in defaults and key not in IDLE and value not in (None, False):
            raise UsageError(f"{where}.{key}: found {value!r}; only open_clip's own plain towers can be read")
    return defaults | {key: value for key, value in given.items() if key in defaults}


def read_weights(folder: Path, option: str) -> dict[str, Tensor]:
    """The weights of a model in open_clip's format, by its names."""
    file = next((folder / name for name in READ if (folder / name).is_file()), None)
    if file is None:
        raise UsageError(f"{option} {folder}: none of {', '.join(READ)} is there")
    try:
        if file.suffix == ".safetensors":
            found = load_file(file)
        else:
            found = torch.load(file, map_location="cpu", weights_only=True)
            found = found.get("state_dict", found)
        # A model within DDP, and one whose text tower is a module of its own.
        return {name.removeprefix("module.").removeprefix("text."): tensor for name, tensor in found.items()}
    except Exception as error:  # Both raise many kinds on a damaged file.
        raise UsageError(f"{option} {file}: cannot be read: {str(error).splitlines()[0]}") from None


def clip_weights(model: PreTrainedModel, given: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """The weights of a model by transformers' names, of those by open_clip's."""
    found, wanted = {}, model.state_dict()
    for name, theirs, which in _places(model):
        if (tensor := given.get(theirs)) is None:
            raise UsageError(f"{where}: has no {theirs}")
        tensor = tensor.T if name in TURNED else tensor if which is None else tensor.chunk(3)[which]
        if tensor.shape != wanted[name].shape:
            raise UsageError(f"{where}: {theirs} is of another size than {CONFIG} says")
        found[name] = tensor
    return found
