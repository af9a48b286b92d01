"""Facts of images of every odd kind: right, or counted out."""

import hashlib
import io

import imagehash
import numpy as np
import pytest
from PIL import Image

from pipeline.filter.hashes import facts
from tests.images.files import huge, png
from tests.images.site import jpeg

MOST = 10_000_000


def file(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def scene(seed=0, size=(96, 64)):
    small = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def distance(a, b):
    return (
        (a["phash"] ^ b["phash"]).bit_count()
        if a["phash"] ^ b["phash"] >= 0
        else 64 - (~(a["phash"] ^ b["phash"])).bit_count()
    )


def test_hashes_are_those_of_the_libraries():
    image = scene()
    found = facts(file(image), MOST)
    assert found["phash"] & (2**64 - 1) == int(str(imagehash.phash(image)), 16)
    assert found["sha256"] == hashlib.sha256(file(image)).hexdigest()
    assert (found["width"], found["height"]) == (96, 64)


def test_the_same_pixels_in_other_files():
    image = scene()
    first = facts(file(image), MOST)
    for content in (file(image, compress_level=1), file(image, "WEBP", lossless=True), file(image, "BMP")):
        other = facts(content, MOST)
        assert other["pixels"] == first["pixels"]
        assert other["sha256"] != first["sha256"]
    turned = file(image.transpose(Image.Transpose.ROTATE_90), exif=_orientation(6))
    assert facts(turned, MOST)["pixels"] == first["pixels"]
    assert facts(turned, MOST)["width"] == 96


def _orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_near_images_have_near_hashes_and_others_have_not():
    first = facts(file(scene(1, (512, 340))), MOST)
    smaller, worse = scene(1, (512, 340)).resize((256, 170)), scene(1, (512, 340))
    assert distance(first, facts(file(smaller), MOST)) <= 4
    assert distance(first, facts(file(worse, "JPEG", quality=30), MOST)) <= 4
    assert distance(first, facts(file(scene(2, (512, 340))), MOST)) > 10


@pytest.mark.parametrize(
    "image",
    [
        scene().convert("CMYK"),
        scene().convert("L"),
        scene().convert("1"),
        scene().convert("P"),
        scene().convert("RGBA").quantize(16, method=2),
        Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) << 8),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGBA", (3, 900)),
    ],
    ids=["cmyk", "grey", "one bit", "palette", "palette with alpha", "16 bits", "one pixel", "long"],
)
def test_odd_images(image):
    found = facts(file(image, "TIFF" if image.mode == "CMYK" else "PNG"), MOST)
    assert (found["width"], found["height"]) == image.size
    assert -(2**63) <= found["phash"] < 2**63


def test_what_cannot_be_taken():
    frames = [scene(1), scene(2)]
    assert facts(file(frames[0], "GIF", save_all=True, append_images=frames[1:]), MOST) == "animated"
    assert facts(file(frames[0], "WEBP", save_all=True, append_images=frames[1:]), MOST) == "animated"
    assert facts(file(scene()), 1000) == "too_many_pixels"
    assert facts(jpeg(3)[:-200], MOST) == "unreadable_image"
    for content in (b"", b"no image", file(scene())[:-40], file(scene())[:60]):
        assert facts(content, MOST) == "unreadable_image"


@pytest.mark.parametrize(("mode", "colour"), [("L", 0), ("LA", 4), ("RGB", 2), ("RGBA", 6)])
def test_the_same_values_in_16_bits_or_a_palette_are_the_same_pixels(mode, colour):
    image = scene()
    image.putalpha(scene(1).convert("L"))
    image = image.convert(mode)
    values = np.asarray(image).reshape(image.height, image.width, -1).astype(np.uint16)
    deep, shallow = facts(png(values * 257, 16, colour), MOST), facts(file(image), MOST)
    assert (deep["pixels"], deep["phash"]) == (shallow["pixels"], shallow["phash"])
    few = scene().quantize(64)
    assert facts(file(few), MOST)["pixels"] == facts(file(few.convert("RGB")), MOST)["pixels"]
    bits = scene().convert("1")
    assert facts(file(bits), MOST)["pixels"] == facts(file(bits.convert("L")), MOST)["pixels"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "PCX", "JPEG2000", "ICO"])
@pytest.mark.parametrize("side", [9_000, 16_000])
def test_a_bomb_is_counted_as_what_it_is(kind, side):
    assert facts(huge(kind, 12_000, side), 100_000_000) == "too_many_pixels"
