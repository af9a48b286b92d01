"""Blurs boxes of an image, such as the faces that DataComp's CommonPool tells.

The file keeps its format and, around the boxes, its pixels, and its colour profile and Exif data, that is also how the
camera was held: boxes are of the image as it is stored, and it is not turned. Palettes and 1-bit images become RGB
or grey, which blurred colours need; a PNG of 16 bits a channel in colour becomes one of 8, one in grey does not.
"""

import io
from typing import Any

import numpy as np
import orjson
from PIL import Image, ImageFilter, JpegImagePlugin

from pipeline.images.decode import MOST_PIXELS, ORIENTATION, SHARD_FORMATS, opened, orientation

BLUR_SHARE = 0.25  # of a box's shorter side, the blur's radius
BAD_BOXES = "bad_boxes"
EXIF, MOST_EXIF = 0x8769, 65_533  # the tag of what the camera says; bytes in a JPEG
# Tags that may hold the image as it was: thumbnails, further images, XMP, Photoshop's block, a maker's notes.
UNBLURRED = (0x014A, 0x0201, 0x0202, 0x02BC, 0x8649, 0x927C)


def boxes_of(value: Any) -> list[tuple[float, float, float, float]] | None:
    """The boxes (left, top, right, bottom, as shares of the sides) of a column's value: lists, or JSON of them.

    None where the value is something else.
    """
    try:
        given = orjson.loads(value or "[]") if isinstance(value, str) else value
        boxes = [tuple(map(float, box)) for box in given or []]
    except (ValueError, TypeError):
        return None
    fine = all(len(box) == 4 and box[0] <= box[2] and box[1] <= box[3] for box in boxes)
    return boxes if fine else None


def blurred(content: bytes, boxes: list[tuple[float, float, float, float]], most_pixels: int = MOST_PIXELS) -> bytes:
    """The image file with its boxes blurred, in its own format.

    A JPEG keeps its quantization tables and subsampling (an MPO becomes a JPEG of its first image), a lossless WebP is
    lossless again. Raises ``TooManyPixels``, and what Pillow's readers raise on bad bytes, which is of many kinds.
    """
    with opened(content, most_pixels, SHARD_FORMATS) as image:
        image.load()
        options = _options(image, content) | {"icc_profile": image.info.get("icc_profile"), "exif": _exif(image)}
        places = [_pixels(box, image.width, image.height) for box in boxes]
        shown = _blur(image, [box for box in places if box[0] < box[2] and box[1] < box[3]])
        out = io.BytesIO()
        shown.save(out, "JPEG" if image.format == "MPO" else image.format, **options)
    return out.getvalue()


def _pixels(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return (
        max(0, int(left * width)),
        max(0, int(top * height)),
        min(width, -int(-right * width // 1)),
        min(height, -int(-bottom * height // 1)),
    )


def _blur(image: Image.Image, boxes: list[tuple[int, int, int, int]]) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.array(image, np.uint16)
        for left, top, right, bottom in boxes:
            part = values[top:bottom, left:right]
            part[:] = np.asarray(_blurred_box(Image.fromarray(np.rint(part / 257).astype(np.uint8)))).astype(int) * 257
        shown = Image.frombytes("I;16", image.size, values.astype("<u2").tobytes())
        shown.info = image.info
        return shown
    if image.mode in ("1", "L") or (image.mode == "RGB" and image.has_transparency_data):
        shown = image.convert({"RGB": "RGBA"}.get(image.mode, "LA") if image.has_transparency_data else "L")
    elif image.mode == "P":
        shown = image.convert("RGBA" if image.has_transparency_data else "RGB")
    else:
        shown = image.copy()
    for box in boxes:
        shown.paste(_blurred_box(shown.crop(box)), box)
    return shown


def _blurred_box(part: Image.Image) -> Image.Image:
    blur = ImageFilter.GaussianBlur(max(1.0, BLUR_SHARE * min(part.size)))
    if part.mode in ("LA", "RGBA"):  # The colour of what is transparent does not run into the rest.
        return part.convert(part.mode.replace("A", "a")).filter(blur).convert(part.mode)
    return part.filter(blur)


def _options(image: Image.Image, content: bytes) -> dict[str, Any]:
    """What makes the new file as good as the old."""
    if image.format == "WEBP":
        return {"lossless": True, "exact": True} if _is_lossless(content) else {"quality": 95}
    if image.format == "PNG":
        return {}
    return {"qtables": image.quantization, "subsampling": JpegImagePlugin.get_sampling(image)}


def _is_lossless(content: bytes) -> bool:
    """Whether the pixels of a WebP are in a chunk VP8L, or, of a sequence, those of its first frame."""
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8L"
        # A frame of a sequence has 16 bytes of its own before its chunks.
        at += 24 if name == b"ANMF" else 8 + size + size % 2
    return False


def _exif(image: Image.Image) -> bytes:
    """Exif data without the tags that may hold the image as it was; how it is turned alone where it is too long."""
    try:
        exif = image.getexif()
        camera = exif.get_ifd(EXIF) if EXIF in exif else {}
        for tag in UNBLURRED:
            camera.pop(tag, None)
            exif.pop(tag, None)
        found = exif.tobytes() if exif else b""
    except Exception:  # Exif data of no sense is not worth an image.
        found = None
    if found is None or len(found) > MOST_EXIF:
        turned = Image.Exif()
        turned[ORIENTATION] = orientation(image)
        found = turned.tobytes()
    return found
