"""A trained model as what turns images and texts into unit vectors: ours, or any CLIP-like checkpoint folder."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from pipeline.errors import UsageError
from pipeline.train.models import needs_attention_mask
from pipeline.train.tokenizer import load_tokenizer

BATCH = 256


class Encoder:
    """The towers of a ``save_pretrained`` folder, for use."""

    def __init__(self, folder: str | Path, device: str | None = None):
        """Raises ``UsageError`` where the folder holds no model of two towers with its tokenizer and processor."""
        if not (Path(folder) / "config.json").is_file():
            raise UsageError(f"--model {folder}: no config.json; give the folder of an exported model")
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        try:
            self.model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(self.device)
            self.processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise UsageError(f"--model {folder}: {str(error).splitlines()[0]}") from None
        if not hasattr(self.model, "get_image_features"):
            raise UsageError(f"--model {folder}: {type(self.model).__name__} is no model of images and texts")
        self.tokenizer = load_tokenizer(folder)
        scale = getattr(self.model, "logit_scale", None)
        self.scale = float(scale.detach().exp() if scale is not None else 1 / self.model.temperature.detach())

    @torch.inference_mode()
    def encode_images(self, images: list[Image.Image]) -> np.ndarray:
        """Unit vectors of images, float32 of shape (images, size)."""
        found = []
        for start in range(0, len(images), BATCH):
            pixels = self.processor(images[start : start + BATCH], return_tensors="pt")["pixel_values"]
            found.append(self.model.get_image_features(pixel_values=pixels.to(self.device)).pooler_output)
        return self._normalized(found)

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Unit vectors of texts, float32 of shape (texts, size); what is too long is cut."""
        found = []
        for start in range(0, len(texts), BATCH):
            tokens = self.tokenizer(texts[start : start + BATCH], padding=True, truncation=True, return_tensors="pt")
            mask = tokens["attention_mask"].to(self.device) if needs_attention_mask(self.model) else None
            ids = tokens["input_ids"].to(self.device)
            found.append(self.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output)
        return self._normalized(found)

    def _normalized(self, found: list[torch.Tensor]) -> np.ndarray:
        return F.normalize(torch.cat(found).float(), dim=-1).cpu().numpy()
