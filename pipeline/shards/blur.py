"""Blurs boxes of a picture, such as the faces that DataComp's CommonPool tells."""

import io
from typing import Any

import orjson
from PIL import Image, ImageFilter

BLUR_SHARE = 0.25  # of a box's shorter side, the blur's radius
BAD_BOXES = "bad_boxes"


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


def blurred(content: bytes, boxes: list[tuple[float, float, float, float]]) -> bytes:
    """The picture file with its boxes blurred, in its own format and, of a JPEG, its own quality."""
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        for left, top, right, bottom in boxes:
            box = (
                max(0, int(left * image.width)),
                max(0, int(top * image.height)),
                min(image.width, -int(-right * image.width // 1)),
                min(image.height, -int(-bottom * image.height // 1)),
            )
            if box[0] < box[2] and box[1] < box[3]:
                radius = max(1.0, BLUR_SHARE * min(box[2] - box[0], box[3] - box[1]))
                image.paste(image.crop(box).filter(ImageFilter.GaussianBlur(radius)), box)
        out = io.BytesIO()
        options = {"JPEG": {"quality": "keep"}, "WEBP": {"quality": 95}}.get(image.format, {})
        image.save(out, image.format, **options)
    return out.getvalue()
