"""Sizes by markers against Pillow, on whole and on damaged JPEGs."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.shards.content import ImageFile, _looked_at
from pipeline.shards.jpeg import jpeg_size


def jpeg(width=37, height=21, mode="RGB", **options):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)).convert(mode)
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
KINDS = [
    {},
    {"progressive": True},
    {"optimize": True, "quality": 20},
    {"mode": "L"},
    {"mode": "CMYK"},
    {"exif": EXIF, "comment": "a comment", "icc_profile": b"p" * 70_000},
    {"width": 1, "height": 1},
    {"width": 3000, "height": 2},
    {"restart_marker_rows": 1},
]


@pytest.mark.parametrize("options", KINDS)
def test_the_size_is_that_of_pillow(options):
    content = jpeg(**options)
    with Image.open(io.BytesIO(content)) as image:
        assert jpeg_size(content) == image.size


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_header_gives_no_other_size_than_pillow(data):
    content = bytearray(jpeg(**data.draw(st.sampled_from(KINDS))))
    content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, min(700, len(content) - 1)))] = data.draw(st.integers(0, 255))
    size = jpeg_size(bytes(content))
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            assert size in (None, image.size)
    except (SyntaxError, ValueError, OSError, IndexError):
        pass  # what Pillow refuses may have a size


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(50), b"\xff\xd8" + b"\xff" * 90]
)
def test_what_is_no_jpeg(content):
    assert jpeg_size(content) is None


def test_several_images_in_a_jpeg_are_one():
    image = Image.fromarray(np.zeros((30, 40, 3), np.uint8))
    out = io.BytesIO()
    image.save(out, "MPO", save_all=True, append_images=[image.rotate(90)])
    with Image.open(io.BytesIO(out.getvalue())) as read:
        assert (read.format, read.n_frames) == ("MPO", 2)
    assert _looked_at(out.getvalue()) == ImageFile(out.getvalue(), "jpg", 40, 30)
