"""One text of each image, and how many there are, against plain Python."""

import struct

import numpy as np
import pyarrow as pa
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.pool import round_half_up
from pipeline.balance.texts.ids import image_numbers, smallest_of_image, texts_of_image

SIGNED = st.integers(-(2**63), 2**63 - 1)
IMAGES = st.dictionaries(SIGNED, st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=20)


def hashed(seed: int, pair_id: int) -> int:
    inner = xxhash.xxh64(struct.pack("<q", seed), seed=42).intdigest()
    return xxhash.xxh64(struct.pack("<q", pair_id), seed=inner).intdigest()


@settings(deadline=None)
@given(rows=IMAGES, seed=st.integers(-(2**63), 2**63 - 2))
def test_the_text_of_smallest_hash(rows, seed):
    first: dict = {}
    for pair_id, image in rows.items():
        choice = (hashed(seed + 1, pair_id), pair_id)
        first[image] = min(first.get(image, choice), choice)
    high, low = (np.array([image[i] for image in rows.values()], np.int64) for i in (0, 1))
    found = smallest_of_image(high, low, np.array(list(rows), np.int64), seed)
    assert sorted(found.tolist()) == sorted(pair_id for _, pair_id in first.values())


@given(images=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=20))
def test_texts_of_an_image(images):
    high, low = (np.array([image[i] for image in images], np.int64) for i in (0, 1))
    assert texts_of_image(high, low).tolist() == [images.count(image) for image in images]


def test_images_are_told_apart_by_128_bits():
    names = [f"image{i}" for i in range(1000)]
    high, low = image_numbers(pa.array(names))
    assert len(set(high.tolist())) == len(set(low.tolist())) == 1000
    assert not (high == low).any()
    assert [part.tolist() for part in image_numbers(pa.array(names)[5:9])] == [high[5:9].tolist(), low[5:9].tolist()]


def test_halves_go_up():
    assert round_half_up(np.array([0.49, 0.5, 1.5, 2.5, 7.0])).tolist() == [0, 1, 2, 3, 7]
