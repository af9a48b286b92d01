"""Images as arrays: decoded with Pillow, cropped and resized for training or for evaluation.

The evaluation's transform gives the pixels of the image processor that is exported with the model.
"""

import math

import numpy as np
from PIL import Image

from pipeline.images.decode import SHARD_FORMATS, opened, upright
from pipeline.train.resize import resize_crop

CROPS, ASPECT = 10, (3 / 4, 4 / 3)
CROP_DRAWS = 4 * CROPS  # random numbers that a training crop may need


def decode(content: bytes, draft: int | None = None) -> Image.Image:
    """The image upright and in RGB.

    ``draft``: a JPEG may be decoded at a smaller scale, of sides no shorter than this. Raises one of
    ``loader.BROKEN`` where it cannot be decoded, or has more pixels than ``images.decode.MOST_PIXELS``.
    """
    try:
        image = opened(content, formats=SHARD_FORMATS)
        if draft is not None and image.format == "JPEG":
            image.draft("RGB", (draft, draft))
        shown = upright(image)
        return shown if shown.mode == "RGB" else shown.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise more kinds on bad bytes.
        raise ValueError(f"{type(error).__name__}: {error}") from None


def draft_side(size: int, scale: tuple[float, float]) -> int:
    """The shorter side that an image needs so that its smallest crop is not smaller than ``size``."""
    return math.ceil(size / math.sqrt(scale[0] * ASPECT[0]))


def crop_box(width: int, height: int, scale: tuple[float, float], draws: np.ndarray) -> tuple[int, int, int, int]:
    """A random box of a share of the area and of an aspect between 3:4 and 4:3, as (left, top, right, bottom).

    As RandomResizedCrop: ten tries, then the largest box in the middle. ``draws``: ``CROP_DRAWS`` random numbers.
    """
    for u in draws.reshape(CROPS, 4):
        area = width * height * (scale[0] + (scale[1] - scale[0]) * u[0])
        aspect = math.exp(math.log(ASPECT[0]) + (math.log(ASPECT[1]) - math.log(ASPECT[0])) * u[1])
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(u[2] * (width - w + 1)), int(u[3] * (height - h + 1))
            return left, top, left + w, top + h
    w = min(width, max(1, round(height * ASPECT[1])))
    h = min(height, max(1, round(width / ASPECT[0])))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def train_transform(image: Image.Image, size: int, scale: tuple[float, float], draws: np.ndarray) -> np.ndarray:
    """A random crop, resized to ``size`` by ``size``: uint8 of shape (3, size, size)."""
    return resize_crop(image, crop_box(image.width, image.height, scale, draws), size, size)


def eval_transform(image: Image.Image, size: int, square: bool = False) -> np.ndarray:
    """The shorter side resized to ``size`` and the middle cut out, or all of it made ``square``: (3, size, size)."""
    width, height = image.size
    if square:
        return resize_crop(image, (0, 0, width, height), size, size)
    # The longer side is rounded down, as the image processor does it.
    shorter = min(width, height)
    wide, high = size * width // shorter, size * height // shorter
    left, top = (wide - size) // 2, (high - size) // 2
    whole = resize_crop(image, (0, 0, width, height), wide, high)
    return np.ascontiguousarray(whole[:, top : top + size, left : left + size])
