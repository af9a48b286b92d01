"""A trained model as what turns images and texts into unit vectors: ours, or any CLIP-like checkpoint folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, CLIPImageProcessorPil, PreTrainedModel

from pipeline.errors import PipelineError, UsageError
from pipeline.train.images import eval_transform
from pipeline.train.models import needs_attention_mask
from pipeline.train.tokenizer import fit_length, load_tokenizer, padding

BATCH = 256
BICUBIC = 3


@dataclass
class Preprocessor:
    """What makes images and texts the input of a model; a worker process has it without the model."""

    processor: Any
    tokenizer: Any

    def images(self, images: list[Image.Image]) -> torch.Tensor:
        """The images as input: bytes where they are to be normalised on the device, else what the processor makes."""
        if (size := self.size) is not None:
            return torch.from_numpy(np.stack([eval_transform(image, size) for image in images]))
        return self.processor(images, return_tensors="pt")["pixel_values"]

    @property
    def size(self) -> int | None:
        """The sides of an input image where the processor does what ``eval_transform`` does, as CLIP's do."""
        p = self.processor
        if type(p) is not CLIPImageProcessorPil or p.resample != BICUBIC or p.rescale_factor != 1 / 255:
            return None
        steps = (p.do_resize, p.do_center_crop, p.do_rescale, p.do_normalize)
        size, crop = p.size.get("shortest_edge"), dict(p.crop_size)
        return size if all(steps) and (crop.get("height"), crop.get("width")) == (size, size) else None

    def texts(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask of texts; what is too long is cut."""
        tokens = self.tokenizer(
            texts, padding=padding(self.tokenizer), truncation=True, split_special_tokens=True, return_tensors="pt"
        )
        return tokens["input_ids"], tokens["attention_mask"]


class Encoder:
    """The towers of a ``save_pretrained`` folder, for use."""

    def __init__(self, folder: str | Path, device: str | torch.device | None = None, precision: str | None = None):
        """``precision``: of the towers, bfloat16 by default on a GPU that has it, else float32.

        Raises ``UsageError`` where the folder holds no model of two towers with its tokenizer and processor.
        """
        if not (Path(folder) / "config.json").is_file():
            raise UsageError(f"--model {folder}: no config.json; give the folder of an exported model")
        self.folder, self.device = (
            Path(folder),
            torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        )
        self.half = precision == "bfloat16" if precision else bfloat16_fits(self.device)
        try:
            model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(self.device)
            processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise UsageError(f"--model {folder}: {str(error).splitlines()[0]}") from None
        if not hasattr(model, "get_image_features"):
            raise UsageError(f"--model {folder}: {type(model).__name__} is no model of images and texts")
        tokenizer = load_tokenizer(folder, option="--model")
        fit_length(tokenizer, model.config)
        self._take(model, processor, tokenizer)

    def _take(self, model: PreTrainedModel, processor: Any, tokenizer: Any) -> None:
        self.model, self.inputs = model, Preprocessor(processor, tokenizer)
        scale = getattr(model, "logit_scale", None)
        self.scale = float(scale.detach().exp() if scale is not None else 1 / model.temperature.detach())
        if self.inputs.size is not None:
            values = (processor.image_mean, processor.image_std)
            self.mean, self.std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in values)

    def encode_images(self, images: list[Image.Image]) -> np.ndarray:
        """Unit vectors of images, float32 of shape (images, size)."""
        parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        found = np.concatenate([self.encode_pixels(self.inputs.images(part)) for part in parts])
        return finite(found, [f"image {number + 1}" for number in range(len(images))])

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Unit vectors of texts, float32 of shape (texts, size); what is too long is cut."""
        parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        found = np.concatenate([self.encode_tokens(*self.inputs.texts(part)) for part in parts])
        return finite(found, [f"text {text!r}" for text in texts])

    @torch.inference_mode()
    def encode_pixels(self, pixels: torch.Tensor) -> np.ndarray:
        """Unit vectors of what ``inputs.images`` made."""
        pixels = pixels.to(self.device, non_blocking=True)
        if pixels.dtype == torch.uint8:
            pixels = (pixels.float() / 255 - self.mean) / self.std
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            return _normalized(self.model.get_image_features(pixel_values=pixels).pooler_output)

    @torch.inference_mode()
    def encode_tokens(self, ids: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
        """Unit vectors of what ``inputs.texts`` made."""
        mask = mask.to(self.device) if needs_attention_mask(self.model) else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            ids = ids.to(self.device)
            return _normalized(self.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output)

    def fingerprint(self) -> str:
        """Another one for each model and precision, by the files of its folder."""
        files = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self.folder.iterdir()]
        return hashlib.sha256(repr((str(self.folder.resolve()), sorted(files), self.half)).encode()).hexdigest()


def bfloat16_fits(device: torch.device) -> bool:
    """Whether a device is a GPU that has bfloat16."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def finite(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The values, a row for each name; ``PipelineError`` that names the first row of which one is not finite.

    Comparisons with NaN are false, so that ranks by them would be the best.
    """
    wrong = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if wrong.any():
        raise PipelineError(
            f"{names[int(wrong.argmax())]}: the model gives no finite vector, here and for {int(wrong.sum()) - 1} more "
            f"of {len(values)}: its weights are broken, or the precision is too low"
        )
    return values


def _normalized(vectors: torch.Tensor) -> np.ndarray:
    return F.normalize(vectors.float(), dim=-1).cpu().numpy()
