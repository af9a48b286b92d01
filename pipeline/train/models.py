"""The models: two towers of ``transformers`` built from a recipe, and what training needs of them.

CLIP and MetaCLIP (Radford et al. 2021; Xu et al. 2023): logits are cosines times ``exp(logit_scale)``, at most 100.
ALIGN (Jia et al. 2021): logits are cosines over ``temperature``, at least 0.01. SigLIP's bias (Zhai et al. 2023) is a
parameter of ``Towers``, as the models have no place for it.
"""

import math
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
)
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pipeline.errors import UsageError
from pipeline.train.architecture import kind_of, new_config, wrong_model
from pipeline.train.recipe import Model, TrainRecipe

MODELS = {"clip": CLIPModel, "metaclip2": MetaClip2Model, "align": AlignModel}
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


def build_processor(kind: str, image_size: int) -> CLIPImageProcessorPil | EfficientNetImageProcessorPil:
    """The image processor that goes with a model: what turns an image into its input."""
    square = {"height": image_size, "width": image_size}
    normal = {"image_mean": OPENAI_CLIP_MEAN, "image_std": OPENAI_CLIP_STD}
    if kind == "align":
        # Its default would normalise twice.
        return EfficientNetImageProcessorPil(size=square, include_top=False, resample=3, **normal)
    return CLIPImageProcessorPil(size={"shortest_edge": image_size}, crop_size=square, **normal)


class Towers(nn.Module):
    """Both towers as one module: images and texts in, unit vectors and the scale (and bias) of the logits out."""

    def __init__(self, model: PreTrainedModel, patch_dropout: float = 0.0, siglip: bool = False):
        super().__init__()
        self.model = model
        self.bias = nn.Parameter(torch.tensor(SIGLIP_BIAS)) if siglip else None
        for name, values in (("mean", OPENAI_CLIP_MEAN), ("std", OPENAI_CLIP_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.patch_dropout, self.patch_noise = patch_dropout, None
        if patch_dropout:
            model.vision_model.embeddings.register_forward_hook(self._drop_patches)

    def forward(self, images, ids, mask=None, patch_noise=None):
        """(image vectors, text vectors, scale, bias) of ``images`` (uint8, n x 3 x h x w) and token ``ids``.

        ``patch_noise`` (n x patches, any numbers): with patch dropout, the patches of the smallest numbers stay.
        """
        self.patch_noise = patch_noise
        pixels = (images.to(self.mean.dtype) / 255 - self.mean) / self.std
        image_vectors = self.model.get_image_features(pixel_values=pixels).pooler_output
        text_vectors = self.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return F.normalize(image_vectors, dim=-1), F.normalize(text_vectors, dim=-1), self.scale(), self.bias

    def scale(self) -> torch.Tensor:
        """What cosines are multiplied with to be logits."""
        if isinstance(self.model, AlignModel):
            return 1 / self.model.temperature
        return self.model.logit_scale.exp()

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
        kept = self.patch_noise.argsort(dim=1)[:, :keep] + 1  # the class token is in front
        kept = F.pad(kept, (1, 0))
        return embedded.gather(1, kept.unsqueeze(-1).expand(-1, -1, embedded.shape[-1]))


def needs_attention_mask(model: PreTrainedModel) -> bool:
    """Whether the text tower wants an attention mask; a causal one reads a text's end without."""
    return isinstance(model, AlignModel)


def num_patches(recipe: TrainRecipe, model: PreTrainedModel) -> int:
    """The patches of an image where patch dropout needs them, else none."""
    return model.vision_model.embeddings.num_patches if recipe.patch_dropout else 0
