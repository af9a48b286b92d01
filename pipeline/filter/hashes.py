"""What filtering wants to know of an image: its hashes and its size."""

import hashlib
from typing import Any

import imagehash
import numpy as np
from PIL import Image

from pipeline.images.decode import TooManyPixels, is_animated, opened, upright
from pipeline.shards.content import TOO_MANY_PIXELS, UNREADABLE

ANIMATED = "animated"


def facts(content: bytes, most_pixels: int) -> dict[str, Any] | str:
    """``sha256`` of the bytes, ``pixels`` (SHA-256 of the upright pixels), ``phash``, ``width``, ``height``.

    Both digests are hex. ``phash`` is the 64-bit perceptual hash of ``imagehash`` as a signed integer: for the 8 x 8
    lowest frequencies whether each is above their median. An image that cannot be taken gives the reason instead: it
    is decoded whole, so that one that is cut short is found.
    """
    try:
        with opened(content, most_pixels) as image:
            if is_animated(image):
                return ANIMATED
            shown = upright(image)
            size = f"{shown.mode} {shown.width} {shown.height}\0".encode()
            return {
                "sha256": hashlib.sha256(content).hexdigest(),
                "pixels": hashlib.sha256(size + shown.tobytes()).hexdigest(),
                "phash": perceptual_hash(shown),
                "width": shown.width,
                "height": shown.height,
            }
    except TooManyPixels:
        return TOO_MANY_PIXELS
    except Exception:  # Pillow's decoders raise errors of many kinds on bad bytes.
        return UNREADABLE


def perceptual_hash(image: Image.Image) -> int:
    """The 64-bit pHash; what is transparent counts as white, so that a cut-out and its print on paper are alike."""
    if image.mode == "RGBA":
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    bits = np.packbits(imagehash.phash(image).hash.ravel())
    return int(bits.view(">i8")[0])
