"""Resizing gives Pillow's pixels, whatever the sides, and is faster."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.train.resize import resize_crop


def image_of(width, height, seed=0):
    rng = np.random.default_rng(seed)
    # Black and white beside each other make sums that leave 0 to 255.
    return Image.fromarray((rng.integers(0, 2, (height, width, 3)) * rng.choice([255, 254, 128])).astype(np.uint8))


def same(image, box, width, height):
    want = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box)).transpose(2, 0, 1)
    return (resize_crop(image, box, width, height) == want).all()


@settings(deadline=None, max_examples=200)
@given(
    sides=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    seed=st.integers(0, 9),
)
@example(sides=(1, 1), corners=(0, 0, 1, 1), size=(64, 64), seed=0)
@example(sides=(90, 17), corners=(0, 0, 1, 1), size=(90, 17), seed=0)
def test_every_pixel_is_pillows(sides, corners, size, seed):
    width, height = sides
    left, top = int(corners[0] * (width - 1)), int(corners[1] * (height - 1))
    right = left + 1 + int(corners[2] * (width - left - 1))
    bottom = top + 1 + int(corners[3] * (height - top - 1))
    assert same(image_of(width, height, seed), (left, top, right, bottom), *size)


@pytest.mark.parametrize("sides", [(640, 480), (331, 1207), (3000, 2000)])  # the last is in two blocks of memory
def test_photographs_sides(sides):
    image = image_of(*sides)
    assert same(image, (0, 0, *sides), 224, 224)
    assert same(image, (11, 7, sides[0] - 3, sides[1] - 29), 64, 48)


def test_it_takes_less_time_than_pillow():
    image = image_of(640, 480)

    def best(work):
        times = []
        for _ in range(15):
            started = time.thread_time()
            work()
            times.append(time.thread_time() - started)
        return min(times)

    box = (5, 3, 633, 476)
    pillow = best(lambda: image.resize((224, 224), Image.Resampling.BICUBIC, box))
    assert best(lambda: resize_crop(image, box, 224, 224)) < pillow / 1.5
