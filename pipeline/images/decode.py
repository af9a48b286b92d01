"""Pictures as they are meant to be seen: upright, 8 bits a channel, one frame; or why they are not taken."""

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112  # the Exif tag
ANIMATED, TOO_MANY_PIXELS = "animated", "too many pixels"


def refusal(image: Image.Image, most_pixels: int) -> str | None:
    """Why an opened picture is not to be decoded, by what its header says; None where it may be."""
    if image.width * image.height > most_pixels:
        return TOO_MANY_PIXELS
    # An MPO's other frames are its depth, brightness or other eye: what is shown is the first.
    return ANIMATED if image.format != "MPO" and getattr(image, "n_frames", 1) > 1 else None


def is_plain(image: Image.Image) -> bool:
    """Whether an opened picture is upright and 8-bit RGB, RGBA or grey already."""
    # Of a PNG Pillow would decode all to look for Exif data at its end.
    exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
    return image.mode in ("RGB", "RGBA", "L") and exif.get(ORIENTATION, 1) == 1


def upright(image: Image.Image) -> Image.Image:
    """The picture upright and with 8-bit RGB, RGBA or grey."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("P", "PA", "LA"):
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGB")
