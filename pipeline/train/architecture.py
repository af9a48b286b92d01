"""The architecture of a model: its configuration in ``transformers``, of a recipe or of a model that is given.

Of a given model, to fine-tune it or to go on with its run, all is taken that the recipe does not name, and what the
recipe names must be the same: weights have no meaning with other heads, another activation or another epsilon.
"""

import json
import math
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AlignConfig, AutoConfig, CLIPConfig, MetaClip2Config, PretrainedConfig

from pipeline.errors import UsageError
from pipeline.train.recipe import Model

CONFIGS = {"clip": CLIPConfig, "metaclip2": MetaClip2Config, "align": AlignConfig}
CLIP_SCALE, SIGLIP_SCALE = 1 / 0.07, 10.0
# What training does to a model and its weights do not depend on: here the recipe has its way.
TRAINING_KEYS = {
    "attention_dropout",
    "attention_probs_dropout_prob",
    "drop_connect_rate",
    "dropout_rate",
    "hidden_dropout_prob",
    "initializer_factor",
    "initializer_range",
}


def new_config(model: Model, tokens, siglip: bool = False) -> PretrainedConfig:
    """The configuration of a recipe's model for a tokenizer (``TokenizerConfig``). ``UsageError`` where it has none."""
    text = {"vocab_size": tokens.size, "max_position_embeddings": tokens.length, "bos_token_id": tokens.bos,
            "eos_token_id": tokens.eos, "pad_token_id": tokens.pad, **model.text}  # fmt: skip
    vision = {"image_size": model.image_size, **model.vision}
    make = CONFIGS[model.kind]
    defaults = make()
    for side in ("vision", "text"):
        if unknown := sorted(set(getattr(model, side)) - set(getattr(defaults, f"{side}_config").to_dict())):
            raise UsageError(f"model.{side}.{unknown[0]}: no such key; see transformers' {make.__name__}")
    try:
        if model.kind == "align":
            # The momentum's default, 0.99, is meant as TensorFlow means it; PyTorch's is one less that.
            vision = {"batch_norm_momentum": 0.01, **vision}
            return AlignConfig(text_config=text, vision_config=vision, projection_dim=model.projection)
        return make(
            text_config={"projection_dim": model.projection, **text},
            vision_config={"projection_dim": model.projection, **vision},
            projection_dim=model.projection,
            logit_scale_init_value=math.log(SIGLIP_SCALE if siglip else CLIP_SCALE),
        )
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise wrong_model(error) from None


def wrong_model(error: Exception) -> UsageError:
    """What ``transformers`` says of a model that cannot be built, as one line."""
    return UsageError(f"model: {str(error).strip().splitlines()[-1].strip()}")


def given_config(folder: str) -> PretrainedConfig:
    """The configuration of an exported model's folder. ``UsageError`` where there is none of a kind that is trained."""
    if not (Path(folder) / "config.json").is_file():
        raise UsageError(f"--init-from {folder}: no config.json; give the folder of an exported model")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"--init-from {folder}: {str(error).splitlines()[0]}") from None
    if kind_of(config) is None:
        raise UsageError(f"--init-from {folder}: a {config.model_type} model; allowed: {', '.join(CONFIGS)}")
    return config


def kind_of(config: PretrainedConfig) -> str | None:
    """The ``model.kind`` of a configuration, if it has one."""
    return next((kind for kind, made in CONFIGS.items() if type(config) is made), None)


def fitted(model: Model, config: PretrainedConfig, where: str) -> Model:
    """A recipe's model with the architecture of ``config``, into which what changes training alone is put.

    ``UsageError`` where the recipe names another architecture. ``where``: what ``config`` is of, for the message.
    """
    has = {
        "kind": kind_of(config),
        "image_size": config.vision_config.image_size,
        "projection": config.projection_dim,
    }
    for key in model.model_fields_set & set(has):
        _check_same(f"model.{key}", getattr(model, key), has[key], where)
    for side in ("vision", "text"):
        named, inner = getattr(model, side), getattr(config, f"{side}_config")
        for key, value in named.items():
            if not hasattr(inner, key):
                raise UsageError(f"model.{side}.{key}: no such key; see transformers' {type(config).__name__}")
            if key in TRAINING_KEYS:
                setattr(inner, key, value)
            else:
                _check_same(f"model.{side}.{key}", value, getattr(inner, key), where)
    return model.model_copy(update=has)


def _check_same(key: str, named: Any, has: Any, where: str) -> None:
    if named != has and not (isinstance(has, list | tuple) and list(named) == list(has)):
        raise UsageError(
            f"{key}: found {named!r}, {where} has {has!r}: its weights are not those of the recipe's model; "
            "leave the key out to take the model's"
        )


def to_plain(config: PretrainedConfig) -> dict[str, Any]:
    """A configuration as plain values, for a file."""
    return json.loads(config.to_json_string(use_diff=False))


def from_plain(values: dict[str, Any]) -> PretrainedConfig:
    """What ``to_plain`` gave."""
    made = next(made for made in CONFIGS.values() if made.model_type == values["model_type"])
    return made.from_dict(values)
