"""Images of unknown origin: opened within limits, and shown as they are meant to be seen; or why they are not taken.

Every place that opens one goes through ``opened``. What is shown of a file with several images is the first page of a
TIFF, the first image of an MPO (a JPEG with a depth, a brightness or another eye behind it) and the largest icon of an
ICO; a sequence (GIF, PNG, WebP, AVIF) of more than one frame is animated.
"""

import io
import struct
import warnings
from typing import Any

from PIL import Image

from pipeline.images.values import eight_bits

MOST_PIXELS = 100_000_000  # where no recipe says images.most_pixels
# The formats of the web. Pillow's others are not tried, some of which start programs (EPS: Ghostscript). An MPO is
# opened as a JPEG. The last ones have no clear mark at their start.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "JPEG2000", "TIFF", "BMP", "ICO", "PCX", "DIB", "TGA")
SHARD_FORMATS = ("JPEG", "PNG", "WEBP")
ORIENTATION = 0x0112  # the Exif tag
PAGES = ("MPO", "TIFF")  # of which the first image is shown
# How an image is turned for each orientation of its camera (Exif 2.3, section 4.6.4).
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What is above the limit is refused here, what is below needs no warning. For all threads, which share the filters.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class TooManyPixels(ValueError):
    """An image says that it has more pixels than are allowed."""


def opened(content: bytes, most_pixels: int = MOST_PIXELS, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """An image file, opened and not decoded: only of ``formats``, and of at most so many pixels by what it says.

    Raises ``TooManyPixels``, ``OSError`` where it is of no such format, and what Pillow's readers raise on bad bytes,
    which is of many kinds.
    """
    if Image.MAX_IMAGE_PIXELS is not None and most_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most_pixels  # Pillow's own limit would be in the way.
    if content[:4] == b"\0\0\1\0" and "ICO" in formats:  # Pillow decodes an icon when it opens it.
        _check(*_largest_icon(content), most_pixels)
    try:
        image = Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError as error:
        raise TooManyPixels(str(error)) from None
    _check(*image.size, most_pixels)
    if image.format == "JPEG2000" and image.mode != "I;16" and _depth_of_jpeg_2000(content) > 8:
        raise ValueError("JPEG 2000 of more than 8 bits a channel in colour, whose white Pillow makes black")
    # Pillow forgets what else a PNG in an icon says.
    source = image.ico.getimage(image.size) if image.format == "ICO" else image
    if source.format == "PNG" and "transparency" in source.info:
        image.info["transparency"] = _transparency(source)
    return image


def _check(width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise TooManyPixels(f"{width} x {height} pixels; {most_pixels:,} are allowed")


def _largest_icon(content: bytes) -> tuple[int, int]:
    """The sides of the largest image in an ICO by the headers of the PNGs and bitmaps in it."""
    sides = [(0, 0)]
    for entry in range(min(struct.unpack_from("<H", content.ljust(6, b"\0"), 4)[0], (len(content) - 6) // 16)):
        (start,) = struct.unpack_from("<I", content, 18 + 16 * entry)
        head = content[start : start + 24].ljust(24, b"\0")
        if head.startswith(b"\x89PNG"):
            sides.append(struct.unpack_from(">II", head, 16))
        elif head[0] == 12:
            width, height = struct.unpack_from("<HH", head, 4)
            sides.append((width, height // 2))
        else:  # A bitmap's height counts the mask below it.
            width, height = struct.unpack_from("<ii", head, 4)
            sides.append((abs(width), abs(height) // 2))
    return max(sides, key=lambda side: side[0] * side[1])


def _depth_of_jpeg_2000(content: bytes) -> int:
    """The most bits of a channel, by the marker SIZ of the codestream (ITU T.800, annex A.5.1)."""
    start = content.index(b"\xff\x4f\xff\x51") + 40
    (channels,) = struct.unpack_from(">H", content, start)
    return max((bits & 0x7F) + 1 for bits in content[start + 2 : start + 2 + 3 * channels : 3])


def _transparency(image: Image.Image) -> Any:
    """A PNG's transparent colour in the values that Pillow gives its pixels: it scales those, and not the colour."""
    raw, colour = image.tile[0].args, image.info["transparency"]
    if raw in ("L;2", "L;4"):
        return colour * {"L;2": 85, "L;4": 17}[raw]
    return tuple(value >> 8 for value in colour) if raw == "RGB;16B" else colour


def is_animated(image: Image.Image) -> bool:
    """Whether an opened image has several frames. Frames are not counted, which may take a file for ever."""
    return image.format not in PAGES and getattr(image, "is_animated", False)


def orientation(image: Image.Image) -> int:
    """How the camera was held, by what is read of the file so far: 1 is upright; so is what cannot be told."""
    try:
        # A PNG's own getexif would decode the image to look for Exif data at its end.
        found = Image.Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # Exif data of no sense does not make an image unreadable.
        return 1
    return found if found in TURNED else 1


def is_plain(image: Image.Image, content: bytes) -> bool:
    """Whether a decoder that knows no more than pixels (OpenCV's) makes of an opened file what ``upright`` does.

    True of upright 8-bit JPEG in RGB or grey, 8-bit PNG in RGB, RGBA or grey without a transparent colour, and WebP.
    """
    if image.format == "PNG":
        fits = _is_plain_png(content)
    elif image.format == "WEBP":
        fits = content[12:16] != b"VP8X" or not content[20] & 0x02  # One frame of a sequence may be a part of it.
    else:
        fits = image.format in ("JPEG", "MPO")
    return fits and image.mode in ("RGB", "RGBA", "L") and orientation(image) == 1


def _is_plain_png(content: bytes) -> bool:
    depth, colour = content[24], content[25]
    names, at = [], 8
    while at + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        names.append(name)
        at += 12 + length
    pixels = names.index(b"IDAT") if b"IDAT" in names else 0
    described_later = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"} & set(names[pixels:])  # perhaps how it is turned
    return depth == 8 and colour in (0, 2, 6) and not {b"tRNS", b"acTL"} & set(names) and not described_later


def upright(image: Image.Image) -> Image.Image:
    """The image upright and with 8-bit RGB, RGBA or grey, as ``values.eight_bits`` makes them."""
    shown = eight_bits(image)  # It decodes the file: what stands behind the pixels is known then.
    turn = TURNED.get(orientation(image))
    return shown if turn is None else shown.transpose(turn)
