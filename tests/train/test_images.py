"""Pixels: the evaluation's are the exported processor's, the training's lie in the image."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pipeline.images.decode import TooManyPixels
from pipeline.train.images import CROP_DRAWS, crop_box, decode, eval_transform, train_transform
from pipeline.train.loader import BROKEN
from pipeline.train.models import build_processor
from pipeline.train.recipe import Model
from tests.images.files import encoded, huge, png, ramp, to_bytes


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("kind", ["clip", "align"])
@pytest.mark.parametrize("sides", [(64, 64), (100, 71), (71, 100), (33, 200), (299, 31), (65, 64), (500, 333)])
def test_evaluation_pixels_are_the_processors(kind, sides):
    image = noise(*sides)
    theirs = build_processor(Model(kind=kind, image_size=64))(image, return_tensors="np")["pixel_values"][0]
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    ours = (eval_transform(image, 64, square=kind == "align") / 255 - mean) / std
    assert np.abs(ours - theirs).max() < 1e-5


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    low=st.floats(0.05, 1),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=CROP_DRAWS, max_size=CROP_DRAWS),
)
def test_crops_lie_in_the_image(width, height, low, draws):
    left, top, right, bottom = crop_box(width, height, (low, 1.0), np.array(draws))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_a_whole_crop_is_the_image_resized():
    image = noise(50, 50)
    draws = np.tile([1.0 - 1e-12, 0.5, 0.0, 0.0], CROP_DRAWS // 4)
    whole = np.asarray(image.resize((20, 20), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert (train_transform(image, 20, (1.0, 1.0), draws) == whole).all()


def test_decoding():
    out = io.BytesIO()
    noise(640, 480).save(out, "JPEG")
    assert decode(out.getvalue()).size == (640, 480)
    assert decode(out.getvalue(), draft=100).size == (160, 120)
    with pytest.raises(OSError):
        decode(out.getvalue()[:3000])
    with pytest.raises(OSError):
        decode(b"GIF89a no image of ours")


@pytest.mark.parametrize(("channels", "colour"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_16_bits_are_scaled(channels, colour):
    values = ramp(channels, 65_535)
    want = to_bytes(values, 65_535).astype(int)
    want = want[..., :1].repeat(3, -1) if channels < 3 else want[..., :3]
    assert np.abs(np.asarray(decode(png(values, 16, colour))).astype(int) - want).max() <= 1


@pytest.mark.parametrize("draft", [None, 20])
def test_images_are_upright(draft):
    image = Image.fromarray(np.zeros((60, 90, 3), np.uint8))
    image.paste((255, 255, 255), (0, 0, 45, 60))  # The left half is white: above, when it is turned to the right.
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP"):
        found = np.asarray(decode(encoded(image, kind, exif=exif), draft))
        assert found.shape[0] > found.shape[1]
        assert found[: found.shape[0] // 3].min() > 200
        assert found[-found.shape[0] // 3 :].max() < 50


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("side", [9_000, 16_000])
def test_a_bomb_is_a_broken_sample(kind, side):
    assert issubclass(TooManyPixels, BROKEN)
    with pytest.raises(TooManyPixels):
        decode(huge(kind, 12_000, side))


SEEDS = [encoded(noise(40, 30), "JPEG"), encoded(noise(40, 30), "PNG"), encoded(noise(40, 30).quantize(8), "PNG"),
         encoded(noise(40, 30), "WEBP"), encoded(noise(40, 30), "WEBP", lossless=True)]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_files_are_broken_samples(data):
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 300)))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BROKEN):
        assert decode(bytes(content)).mode == "RGB"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_bad_bytes_are_a_broken_sample_and_no_other_error(kind):
    """Whatever is written over or cut off, a decoder's error is one that the loader counts."""
    out = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(out, kind, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1")
    rng, content = np.random.default_rng(0), out.getvalue()
    for _ in range(150):
        bad = bytearray(content)
        for place in rng.integers(0, min(len(bad), rng.choice([40, len(bad)])), rng.integers(1, 12)):
            bad[place] = rng.integers(256)
        with contextlib.suppress(BROKEN):
            decode(bytes(bad[: rng.integers(1, len(bad) + 1)] if rng.random() < 0.2 else bad))
