"""The architecture of a model: its configuration in ``transformers``, of a recipe or of a model that is given.

Of a given model, to fine-tune it or to go on with its run, all is taken that the recipe does not name, and what the
recipe names must be the same: weights have no meaning with other heads, another activation or another epsilon.
"""

import json
import math
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import AlignConfig, CLIPConfig, MetaClip2Config, PretrainedConfig, SiglipConfig
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pipeline.errors import UsageError
from pipeline.train.recipe import Model

CONFIGS = {"clip": CLIPConfig, "metaclip2": MetaClip2Config, "align": AlignConfig, "siglip": SiglipConfig}
CLIP_SCALE, SIGLIP_SCALE = 1 / 0.07, 10.0
HALF = (0.5, 0.5, 0.5)
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
            temperature = {"temperature_init_value": 1 / SIGLIP_SCALE} if siglip else {}
            return AlignConfig(text_config=text, vision_config=vision, projection_dim=model.projection, **temperature)
        if model.kind == "siglip":
            made = SiglipConfig(text_config={"projection_size": model.projection, **text}, vision_config=vision)
            _check_width(made, model.projection)
            return made
        return make(
            text_config={"projection_dim": model.projection, **text},
            vision_config={"projection_dim": model.projection, **vision},
            projection_dim=model.projection,
            logit_scale_init_value=math.log(SIGLIP_SCALE if siglip else CLIP_SCALE),
        )
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise wrong_model(error) from None


def _check_width(config: SiglipConfig, projection: int) -> None:
    """Refuses a SigLIP model whose towers give vectors of two sizes; its image tower has no projection."""
    width, text = config.vision_config.hidden_size, config.text_config.projection_size
    if not width == text == projection:
        raise UsageError(f"model.projection: found {projection}; this image tower gives vectors of {width}")


def wrong_model(error: Exception) -> UsageError:
    """What ``transformers`` says of a model that cannot be built, as one line."""
    return UsageError(f"model: {str(error).strip().splitlines()[-1].strip()}")


def kind_of(config: PretrainedConfig) -> str | None:
    """The ``model.kind`` of a configuration, if it has one."""
    return next((kind for kind, made in CONFIGS.items() if type(config) is made), None)


def vector_size(config: PretrainedConfig) -> int:
    """The size of the vectors of a model."""
    return config.text_config.projection_size if isinstance(config, SiglipConfig) else config.projection_dim


def normalisation(model: Model) -> dict[str, tuple[float, ...]]:
    """The ``mean`` and the deviation (``std``) of the channels of images, where none is named that of the kind."""
    mean, std = (HALF, HALF) if model.kind == "siglip" else (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD)
    return {"mean": model.mean or tuple(mean), "std": model.std or tuple(std)}


def fitted(model: Model, config: PretrainedConfig, where: str, normal: dict[str, tuple[float, ...]]) -> Model:
    """A recipe's model with the architecture of ``config``, into which what changes training alone is put.

    ``UsageError`` where the recipe names another architecture. ``where``: what ``config`` is of, for the message.
    ``normal``: the ``normalisation`` of its images.
    """
    has = {
        "kind": kind_of(config),
        "image_size": config.vision_config.image_size,
        "projection": vector_size(config),
    } | normal
    for key in model.model_fields_set & set(has):
        if getattr(model, key) is not None:
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
