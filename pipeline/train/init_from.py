"""The model that a run starts from: an exported one, one of transformers, or one of open_clip's."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from pipeline.errors import UsageError
from pipeline.train import open_clip_model
from pipeline.train.architecture import CONFIGS, kind_of, normalisation
from pipeline.train.recipe import Model

PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def is_open_clip(folder: str) -> bool:
    """Whether a folder has a model in open_clip's format alone."""
    return (Path(folder) / open_clip_model.CONFIG).is_file() and not (Path(folder) / "config.json").is_file()


def given_config(folder: str, option: str = "--init-from") -> PretrainedConfig:
    """The configuration of a model's folder. ``UsageError`` where there is none of a kind that is trained."""
    if is_open_clip(folder):
        return open_clip_model.clip_config(Path(folder), option)
    if not (Path(folder) / "config.json").is_file():
        raise UsageError(f"{option} {folder}: no config.json; give the folder of an exported model")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{option} {folder}: {str(error).splitlines()[0]}") from None
    if kind_of(config) is None:
        raise UsageError(f"{option} {folder}: a {config.model_type} model; allowed: {', '.join(CONFIGS)}")
    return config


def given_normalisation(
    folder: str, config: PretrainedConfig, option: str = "--init-from"
) -> dict[str, tuple[float, ...]]:
    """The ``normalisation`` of a model's images: as its folder says, else that of its kind."""
    if is_open_clip(folder):
        said = open_clip_model.read_config(Path(folder), option).get("preprocess_cfg") or {}
    else:
        file = next((Path(folder) / name for name in PROCESSORS if (Path(folder) / name).is_file()), None)
        said = _json(file, option) if file else {}
        said = said.get("image_processor") or said
        said = {name: said.get(f"image_{name}") for name in ("mean", "std")}
    of_kind = normalisation(Model(kind=kind_of(config)))
    return {name: tuple(map(float, said.get(name) or values)) for name, values in of_kind.items()}


def given_bias(folder: str, option: str = "--init-from") -> float | None:
    """The bias of the logits that a model was trained with by SigLIP's loss."""
    file = Path(folder) / "training.json"
    if is_open_clip(folder):
        bias = open_clip_model.read_weights(Path(folder), option).get("logit_bias")
        return None if bias is None else float(bias)
    return _json(file, option).get("logit_bias") if file.is_file() else None


def _json(file: Path, option: str) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{option} {file.parent}: {file.name} is not JSON")
    return found


def load_weights(model: PreTrainedModel, folder: str) -> None:
    """Puts the weights of a given model, of the same architecture, into a model."""
    if is_open_clip(folder):
        given = open_clip_model.read_weights(Path(folder), "--init-from")
        weights = open_clip_model.clip_weights(model, given, f"--init-from {folder}")
        model.load_state_dict(weights, strict=False)  # It has nothing for position_ids, which are counted.
        return
    try:
        given, said = type(model).from_pretrained(
            folder, config=model.config, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"--init-from {folder}: {str(error).strip().splitlines()[0]}") from None
    if wrong := sorted(map(str, [*said["missing_keys"], *said["mismatched_keys"]])):
        raise UsageError(f"--init-from {folder}: has no {wrong[0]} of the size that its config.json says")
    model.load_state_dict(given.state_dict())
