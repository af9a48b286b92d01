"""Pixels: the evaluation's are the exported processor's, the training's lie in the picture."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pipeline.train.models import build_processor
from pipeline.train.pictures import DRAWS, crop_box, decode, evaluation_pixels, training_pixels


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("kind", ["clip", "align"])
@pytest.mark.parametrize("sides", [(64, 64), (100, 71), (71, 100), (33, 200), (299, 31), (65, 64), (500, 333)])
def test_evaluation_pixels_are_the_processors(kind, sides):
    image = noise(*sides)
    theirs = build_processor(kind, 64)(image, return_tensors="np")["pixel_values"][0]
    mean, std = (np.array(v).reshape(3, 1, 1) for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    ours = (evaluation_pixels(image, 64, square=kind == "align") / 255 - mean) / std
    assert np.abs(ours - theirs).max() < 1e-5


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    low=st.floats(0.05, 1),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=DRAWS, max_size=DRAWS),
)
def test_crops_lie_in_the_picture(width, height, low, draws):
    left, top, right, bottom = crop_box(width, height, (low, 1.0), np.array(draws))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_a_whole_crop_is_the_picture_resized():
    image = noise(50, 50)
    draws = np.tile([1.0 - 1e-12, 0.5, 0.0, 0.0], DRAWS // 4)
    whole = np.asarray(image.resize((20, 20), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert (training_pixels(image, 20, (1.0, 1.0), draws) == whole).all()


def test_decoding():
    out = io.BytesIO()
    noise(640, 480).save(out, "JPEG")
    assert decode(out.getvalue()).size == (640, 480)
    assert decode(out.getvalue(), draft=100).size == (160, 120)
    with pytest.raises(OSError):
        decode(out.getvalue()[:3000])
    with pytest.raises(OSError):
        decode(b"GIF89a no picture of ours")
