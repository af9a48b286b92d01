"""The values of an image's pixels as 8 bits a channel: scaled, not clipped."""

import numpy as np
from PIL import Image

INTEGERS, FLOATS = (255, 65_535, 2**32 - 1), (1, 255, 65_535)  # the usual ranges, from 0 on
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # TIFF's tags
WHITE_IS_ZERO, UNSIGNED = 0, 1
BLOCK = 1 << 20


def eight_bits(image: Image.Image) -> Image.Image:
    """The image decoded, with 8-bit RGB, RGBA (where something may be transparent) or grey.

    16 bits a channel are divided by 257, 12 bits by 16.06. Grey of 32 bits, whole numbers or floats, has no agreed
    white: of the usual ranges (0 to 255, 65,535 and 2^32 - 1 for whole numbers; to 1, 255 and 65,535 for floats) it is
    the smallest that holds all values; where some are negative or above all ranges, it goes from the smallest value to
    the largest. What is no number or infinite is black.
    """
    image.load()
    if image.mode.startswith("I;16"):
        return _of_16_bits(image)
    if image.mode in ("I", "F"):
        return Image.fromarray(_of_32_bits(image))
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _tag(image: Image.Image, tag: int, default: int) -> int:
    """The first value of a TIFF's tag, or the default of what has none."""
    found = getattr(image, "tag_v2", {}).get(tag, default)
    return found[0] if isinstance(found, tuple) else found


def _of_16_bits(image: Image.Image) -> Image.Image:
    values, most = np.asarray(image), 4095 if _tag(image, BITS, 16) == 12 else 65_535
    table = (np.minimum(np.arange(65_536), most) * 255 + most // 2) // most
    if _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO:
        table = 255 - table
    grey = Image.fromarray(table.astype(np.uint8)[values])
    if "transparency" not in image.info:
        return grey
    seen = Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, seen)).convert("RGBA")


def _of_32_bits(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if values.dtype.kind == "i" and _tag(image, BITS, 0) == 32 and _tag(image, SAMPLE_FORMAT, UNSIGNED) == UNSIGNED:
        values = values.view(np.uint32)  # Pillow has no such mode.
    numbers = np.isfinite(values)
    given = values[numbers]
    low, high = (float(given.min()), float(given.max())) if given.size else (0.0, 0.0)
    top = next((top for top in (FLOATS if values.dtype.kind == "f" else INTEGERS) if high <= top), None)
    low, high = (low, high) if low < 0 or top is None else (0.0, float(top))
    inverted = _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO
    found, flat, known = np.empty(values.size, np.uint8), values.ravel(), numbers.ravel()
    for start in range(0, values.size, BLOCK):
        part = slice(start, start + BLOCK)
        shares = (np.where(known[part], flat[part], low).astype(np.float64) - low) / ((high - low) or 1)
        found[part] = np.rint(255 * (np.where(known[part], 1 - shares, 0) if inverted else shares))
    return found.reshape(values.shape)
