"""The models: two towers of ``transformers`` built from a recipe, and what training needs of them.

CLIP and MetaCLIP (Radford et al. 2021; Xu et al. 2023): logits are cosines times ``exp(logit_scale)``, at most 100.
ALIGN (Jia et al. 2021): logits are cosines over ``temperature``, at least 0.01. The bias of SigLIP's loss (Zhai et al.
2023) is a parameter of ``Towers`` for models that have no place for it; SigLIP models do.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import (
    AlignModel,
    CLIPImageProcessorPil,
    CLIPModel,
    EfficientNetImageProcessorPil,
    MetaClip2Model,
    PretrainedConfig,
    PreTrainedModel,
    SiglipImageProcessorPil,
    SiglipModel,
)

from pipeline.errors import UsageError
from pipeline.train.architecture import SIGLIP_SCALE, kind_of, new_config, normalisation, wrong_model
from pipeline.train.recipe import Model, TrainRecipe

MODELS = {"clip": CLIPModel, "metaclip2": MetaClip2Model, "align": AlignModel, "siglip": SiglipModel}
PARTS = {"image": ("vision_model", "visual_projection"), "text": ("text_model", "text_projection")}
MAX_LOGIT_SCALE, MIN_TEMPERATURE = 100.0, 0.01
SIGLIP_BIAS = -10.0


@dataclass(frozen=True)
class TokenizerConfig:
    """The size of a vocabulary, the ids of its special tokens, and the longest text in tokens."""

    size: int
    bos: int
    eos: int
    pad: int
    length: int


def build_model(model: Model, tokens: TokenizerConfig, siglip: bool = False) -> PreTrainedModel:
    """A model of a recipe with fresh weights, drawn from torch's generator. ``UsageError`` where sizes do not fit."""
    return model_of(new_config(model, tokens, siglip))


def model_of(config: PretrainedConfig) -> PreTrainedModel:
    """A model of a configuration with fresh weights, for training. ``UsageError`` where its sizes do not fit."""
    try:
        built = MODELS[kind_of(config)](config)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise wrong_model(error) from None
    if isinstance(built, SiglipModel):
        torch.nn.init.constant_(built.logit_scale, math.log(SIGLIP_SCALE))
        torch.nn.init.constant_(built.logit_bias, SIGLIP_BIAS)
    if isinstance(built, AlignModel):
        # Its output is not used: a text's embedding is that of its first token.
        built.text_model.pooler.requires_grad_(False)
        side = config.vision_config.image_size
        with torch.no_grad():
            channels = built.eval().get_image_features(torch.zeros(1, 3, side, side)).pooler_output.shape[1]
        if channels != config.projection_dim:
            raise UsageError(
                f"model.projection: found {config.projection_dim}; this image tower has {channels} channels"
            )
    return built.train()


def meta_model(config: PretrainedConfig) -> PreTrainedModel:
    """A model of a configuration without values, to be made where ``torch.device("meta")`` is set."""
    model = MODELS[kind_of(config)](config)
    if isinstance(model, AlignModel):
        model.text_model.pooler.requires_grad_(False)
    return model


def build_processor(model: Model) -> CLIPImageProcessorPil | EfficientNetImageProcessorPil | SiglipImageProcessorPil:
    """The image processor that goes with a model: what turns an image into its input."""
    square = {"height": model.image_size, "width": model.image_size}
    normal = {f"image_{name}": values for name, values in normalisation(model).items()}
    if model.kind == "align":
        # Its default would normalise twice.
        return EfficientNetImageProcessorPil(size=square, include_top=False, resample=3, **normal)
    if model.kind == "siglip":
        return SiglipImageProcessorPil(size=square, **normal)
    return CLIPImageProcessorPil(size={"shortest_edge": model.image_size}, crop_size=square, **normal)


def towers_of(model: PreTrainedModel, recipe: TrainRecipe) -> "Towers":
    """A model as a recipe trains it."""
    return Towers(model, recipe.patch_dropout, recipe.loss.name == "siglip", recipe.frozen, recipe.model)


class Towers(nn.Module):
    """Both towers as one module: images and texts in, unit vectors and the scale (and bias) of the logits out."""

    def __init__(
        self,
        model: PreTrainedModel,
        patch_dropout: float = 0.0,
        siglip: bool = False,
        frozen: tuple[str, ...] = (),
        options: Model | None = None,
    ):
        """``frozen``: towers (``image``, ``text``) that do not learn. ``options``: with the normalisation of images."""
        super().__init__()
        self.model = model
        has_bias = isinstance(model, SiglipModel)
        self.bias = nn.Parameter(torch.tensor(SIGLIP_BIAS)) if siglip and not has_bias else None
        normal = normalisation(options or Model(kind=kind_of(model.config)))
        for name in ("mean", "std"):
            values = torch.tensor(normal[name]).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.frozen = frozen
        for name in frozen:
            for part in self.tower(name):
                part.requires_grad_(False)
        self.patch_dropout, self.patch_noise = patch_dropout, None
        if patch_dropout:
            model.vision_model.embeddings.register_forward_hook(self._drop_patches)

    def tower(self, name: str) -> list[nn.Module]:
        """The modules of a tower, ``image`` or ``text``: its model, and the projection where there is one."""
        return [getattr(self.model, part) for part in PARTS[name] if hasattr(self.model, part)]

    def train(self, mode: bool = True) -> "Towers":
        """As of any module, but a frozen tower stays as in evaluation: no dropout, no statistics of a batch."""
        super().train(mode)
        for name in self.frozen:
            for part in self.tower(name):
                part.eval()
        return self

    def forward(self, images, ids, mask=None, patch_noise=None):
        """(image vectors, text vectors, scale, bias) of ``images`` (uint8, n x 3 x h x w) and token ``ids``.

        ``patch_noise`` (n x patches, any numbers): with patch dropout, the patches of the smallest numbers stay.
        """
        self.patch_noise = patch_noise
        pixels = (images.to(self.mean.dtype) / 255 - self.mean) / self.std
        with self._gradients("image"):
            image_vectors = F.normalize(self.model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
        with self._gradients("text"):
            found = self.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
            text_vectors = F.normalize(found, dim=-1)
        return image_vectors, text_vectors, self.scale(), self.logit_bias()

    def _gradients(self, name: str):
        return torch.no_grad() if name in self.frozen else nullcontext()

    def scale(self) -> torch.Tensor:
        """What cosines are multiplied with to be logits."""
        if isinstance(self.model, AlignModel):
            return 1 / self.model.temperature
        return self.model.logit_scale.exp()

    def logit_bias(self) -> torch.Tensor | None:
        """What is added to the logits, where the loss is SigLIP's."""
        return self.model.logit_bias if isinstance(self.model, SiglipModel) else self.bias

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Keeps the scale in its bounds; called after each step."""
        if isinstance(self.model, AlignModel):
            self.model.temperature.clamp_(min=MIN_TEMPERATURE)
        else:
            self.model.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))

    def _drop_patches(self, _module, _inputs, embedded):
        if not self.training or self.patch_noise is None:
            return embedded
        keep = max(1, round(self.patch_noise.shape[1] * (1 - self.patch_dropout)))
        kept = self.patch_noise.argsort(dim=1)[:, :keep]
        if embedded.shape[1] > self.patch_noise.shape[1]:
            kept = F.pad(kept + 1, (1, 0))  # the class token is in front
        return embedded.gather(1, kept.unsqueeze(-1).expand(-1, -1, embedded.shape[-1]))


def needs_attention_mask(model: PreTrainedModel) -> bool:
    """Whether the text tower wants an attention mask; a causal one reads a text's end without."""
    return isinstance(model, AlignModel)


def num_patches(recipe: TrainRecipe, model: PreTrainedModel) -> int:
    """The patches of an image where patch dropout needs them, else none."""
    return model.vision_model.embeddings.num_patches if recipe.patch_dropout else 0
