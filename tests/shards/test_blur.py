"""Blurred boxes in files of every kind: blurred there, and the same around."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from pipeline.images.decode import TooManyPixels, upright
from pipeline.shards.blur import blurred
from pipeline.shards.content import ImageFile, image_loader
from tests.images.files import chunk, encoded, huge, png

WIDTH, HEIGHT = 96, 64
BOX = (0.25, 0.25, 0.5, 0.75)
INSIDE = (slice(16, 48), slice(24, 48))
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = NOISE[..., 0]
DEEP = RNG.integers(0, 65_536, (HEIGHT, WIDTH), np.uint16)
ALPHA = (NOISE[..., 1] | 128).astype(np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SEEN = chunk(b"tRNS", bytes(range(255, 235, -1)))
PALETTE = chunk(b"PLTE", RNG.integers(0, 256, 60, np.uint8).tobytes())
COLOURS = Image.fromarray(NOISE)


def rgba() -> Image.Image:
    image = COLOURS.copy()
    image.putalpha(Image.fromarray(ALPHA))
    return image


FILES = {
    "PNG RGB": (encoded(COLOURS, "PNG"), "RGB", 0),
    "PNG RGBA": (encoded(rgba(), "PNG"), "RGBA", 0),
    "PNG grey": (encoded(Image.fromarray(GREY), "PNG"), "L", 0),
    "PNG grey with alpha": (encoded(Image.merge("LA", (Image.fromarray(GREY), Image.fromarray(ALPHA))), "PNG"), "LA", 0),
    "PNG 1 bit": (png(GREY[..., None] % 2, 1, 0), "L", 0),
    "PNG 1 bit with transparency": (png(GREY[..., None] % 2, 1, 0, chunk(b"tRNS", b"\0\1")), "LA", 0),
    "PNG 2 bits": (png(GREY[..., None] % 4, 2, 0), "L", 0),
    "PNG palette": (png(GREY[..., None] % 20, 8, 3, PALETTE), "RGB", 0),
    "PNG palette of 4 bits": (png(GREY[..., None] % 16, 4, 3, PALETTE), "RGB", 0),
    "PNG palette with transparency": (png(GREY[..., None] % 20, 8, 3, PALETTE + SEEN), "RGBA", 0),
    "PNG grey of 16 bits": (png(DEEP[..., None], 16, 0), "I;16", 0),
    "PNG RGB of 16 bits": (png(NOISE.astype(np.uint16) * 257, 16, 2), "RGB", 0),
    "PNG grey with alpha of 16 bits": (png(np.stack([DEEP, DEEP | 32_768], -1), 16, 4), "RGBA", 0),
    "PNG RGB with a key": (png(NOISE, 8, 2, chunk(b"tRNS", struct.pack(">3H", *NOISE[0, 0]))), "RGBA", 0),
    "PNG grey with a key": (png(GREY[..., None], 8, 0, chunk(b"tRNS", b"\0\x09")), "LA", 0),
    "JPEG": (encoded(COLOURS, "JPEG", quality=95, subsampling=0), "RGB", 12),
    "JPEG progressive": (encoded(COLOURS, "JPEG", quality=95, subsampling=0, progressive=True), "RGB", 12),
    "JPEG grey": (encoded(Image.fromarray(GREY), "JPEG", quality=95), "L", 12),
    "JPEG CMYK": (encoded(COLOURS.convert("CMYK"), "JPEG", quality=95), "CMYK", 12),
    "MPO": (encoded(COLOURS, "MPO", save_all=True, append_images=[COLOURS], quality=95, subsampling=0), "RGB", 12),
    "WEBP lossless": (encoded(rgba(), "WEBP", lossless=True, exact=True), "RGBA", 0),
    "WEBP": (encoded(COLOURS.resize((12, 8)).resize((WIDTH, HEIGHT)), "WEBP"), "RGB", 40),
}  # fmt: skip


def values(content: bytes) -> np.ndarray:
    """As they are seen, but for 16 bits of grey, which are as they are."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image if image.mode == "I;16" else upright(image).convert("RGBA")).astype(int)


@pytest.mark.parametrize("name", FILES)
def test_the_box_is_blurred_and_the_rest_is_not(name):
    content, mode, off = FILES[name]
    found = blurred(content, [BOX])
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(found)) as after:
        assert after.format == {"MPO": "JPEG"}.get(before.format, before.format)
        assert (after.mode, after.size) == (mode, before.size)
    was, now = values(content), values(found)
    if mode != "I;16":  # As much of a colour as is seen.
        was, now = (np.concatenate([v[..., :3] * v[..., 3:] / 255, v[..., 3:]], -1) for v in (was, now))
    around = np.ones((HEIGHT, WIDTH), bool)
    around[INSIDE] = False
    if off:  # Blocks of a JPEG or WebP that the box cuts are others.
        around[8:56, 16:56] = False
    assert np.abs(was - now)[around].max() <= off
    assert now[INSIDE].std((0, 1)).max() < max(0.5 * was[INSIDE].std((0, 1)).max(), 2)
    assert np.abs(now[INSIDE].mean((0, 1)) - was[INSIDE].mean((0, 1))).max() < (4 if mode != "I;16" else 1500)
    # A shard takes it.
    image = image_loader(lambda row: content, "boxes")({"boxes": [BOX]})
    assert isinstance(image, ImageFile)
    assert (image.content, image.width, image.height) == (found, WIDTH, HEIGHT)


def exif(turn: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112], found[0x010E] = turn, "a street"
    found.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    return found


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "CMYK", "PNG", "WEBP"])
def test_orientation_exif_and_profile_stay_and_boxes_are_of_the_stored_image(kind, turn):
    image = COLOURS.convert("CMYK") if kind == "CMYK" else COLOURS
    options = {"PNG": {}, "WEBP": {"lossless": True}}.get(kind, {"quality": 95, "subsampling": 0})
    options |= {"save_all": True, "append_images": [image]} if kind == "MPO" else {}
    content = encoded(image, {"CMYK": "JPEG"}.get(kind, kind), exif=exif(turn), icc_profile=PROFILE, **options)
    found = blurred(content, [BOX])
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(found)) as after:
        assert after.getexif()[0x0112] == turn
        assert after.getexif()[0x010E] == "a street"
        assert after.getexif().get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
        assert after.info["icc_profile"] == PROFILE
        was, now = (np.asarray(i.convert("RGB")).astype(int) for i in (before, after))
    assert np.abs(was - now)[:8].max() <= 12
    assert now[INSIDE].std() < 0.5 * was[INSIDE].std()


@pytest.mark.parametrize("quality", [20, 60, 90])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_jpeg_keeps_its_quality(kind, quality, subsampling):
    options = {"save_all": True, "append_images": [COLOURS]} if kind == "MPO" else {}
    content = encoded(COLOURS, kind, quality=quality, subsampling=subsampling, **options)
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(blurred(content, [BOX]))) as after:
        assert after.format == "JPEG"
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling


def test_a_lossless_webp_stays_one():
    for options, lossless in (({"lossless": True}, True), ({"lossless": True, "exif": exif(1)}, True), ({}, False), ({"exif": exif(1)}, False)):  # fmt: skip
        found = blurred(encoded(COLOURS, "WEBP", **options), [BOX])
        assert (b"VP8L" in found) == lossless
    frames = encoded(COLOURS, "WEBP", save_all=True, append_images=[COLOURS.rotate(90)], lossless=True)
    assert b"VP8L" in blurred(frames, [BOX])


def with_thumbnail() -> bytes:
    """Exif data with an image as it was behind it, and one in the maker's notes."""
    body = exif(6)
    body.get_ifd(0x8769)[0x927C] = b"MAKER" + b"as it was" * 20
    body[0x02BC] = b"<x>as it was</x>"
    data = body.tobytes()
    start = struct.unpack(">I" if data[6:8] == b"MM" else "<I", data[10:14])[0] + 6
    order = ">" if data[6:8] == b"MM" else "<"
    (count,) = struct.unpack_from(f"{order}H", data, start)
    link, end = start + 2 + 12 * count, len(data) - 6
    entries = struct.pack(f"{order}HHIIHHII", 0x0201, 4, 1, end + 30, 0x0202, 4, 1, 9)
    tail = struct.pack(f"{order}H", 2) + entries + struct.pack(f"{order}I", 0)
    return data[:link] + struct.pack(f"{order}I", end) + data[link + 4 :] + tail + b"as it was"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_nothing_shows_the_image_as_it_was(kind):
    content = encoded(COLOURS, kind, exif=with_thumbnail())
    assert b"as it was" in content
    found = blurred(content, [BOX])
    assert b"as it was" not in found
    with Image.open(io.BytesIO(found)) as image:
        assert image.getexif()[0x0112] == 6
        assert image.getexif()[0x010E] == "a street"


@pytest.mark.parametrize("data", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(30)])
def test_exif_data_without_sense(data):
    assert isinstance(image_loader(lambda row: encoded(COLOURS, "JPEG", exif=data), "b")({"b": [BOX]}), ImageFile)


def test_exif_data_that_grew_too_long_is_left_but_for_the_orientation():
    long = Image.Exif()
    long[0x0112], long[0x010E] = 8, "a" * 100_000
    with Image.open(io.BytesIO(blurred(encoded(COLOURS, "WEBP", exif=long), [BOX]))) as image:
        assert dict(image.getexif()) == {0x0112: 8}


def test_boxes_at_the_edges_and_beyond_and_over_each_other():
    boxes = [(-1, -1, 0.1, 0.1), (0.9, 0.9, 2, 2), (0.5, 0.5, 0.5, 0.5), (0.3, 0, 0.3, 1), (0, 0.5, 1, 0.6), (0.4, 0, 0.5, 1)]  # fmt: skip
    for content in (FILES["PNG RGB"][0], FILES["PNG grey of 16 bits"][0]):
        was, now = values(content), values(blurred(content, boxes))
        assert was.shape == now.shape
        assert (was != now).any()
        assert (was == now)[10:30, 50:80].all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_bomb_is_not_decoded(kind):
    with pytest.raises(TooManyPixels):
        blurred(huge(kind, 12_000, 9_000), [BOX])
