"""img2dataset's resizer, given only what OpenCV decodes as it is meant to be seen."""

import io
from typing import Any

from pipeline.images.decode import TooManyPixels, is_animated, is_plain, opened, upright

NOT_AN_IMAGE, ANIMATED, TOO_MANY_PIXELS = "not an image", "animated", "too many pixels"


class LimitedResizer:
    """img2dataset's resizer, behind a look at what an image says of itself before it is decoded.

    OpenCV, which the resizer decodes with, takes no notice of a turned camera and has its own ideas of CMYK, palettes,
    transparent colours and 16 bits; such images come to it as plain ones.
    """

    def __init__(self, resizer: Any, most_pixels: int):
        """``resizer``: an ``img2dataset.resizer.Resizer``; ``most_pixels``: larger images are refused."""
        self.resizer, self.most_pixels = resizer, most_pixels

    def __call__(self, stream: io.BytesIO, boxes: list | None = None) -> tuple:
        """What the resizer returns: the image file, four sides and an error, one of the words above or its own."""
        try:
            content = stream.getvalue()
            with opened(content, self.most_pixels) as image:
                if is_animated(image):
                    return _refused(ANIMATED)
                if not is_plain(image, content):
                    stream = io.BytesIO()
                    upright(image).save(stream, "PNG", compress_level=0)
        except TooManyPixels:
            return _refused(TOO_MANY_PIXELS)
        except Exception:  # Pillow's readers raise errors of many kinds on bad bytes.
            return _refused(NOT_AN_IMAGE)
        return self.resizer(stream, boxes)


def _refused(why: str) -> tuple:
    return None, None, None, None, None, why
