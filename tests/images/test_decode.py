"""Images of every mode that Pillow writes or reads, against reference values; turned ones, plain ones, several frames."""

import struct
import time

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decode import is_animated, is_plain, opened, orientation, upright

from .files import HEIGHT, WIDTH, chunk, encoded, frames, png, tiff
from .modes import C4, COLOUR, FILES, GREY, MODES, SIZE, image_of


def assert_is(shown: Image.Image, want: np.ndarray, off: float) -> None:
    assert shown.mode == {2: "L", 3: {3: "RGB", 4: "RGBA"}.get(want.shape[-1])}[want.ndim]
    found = np.asarray(shown).astype(float)
    assert found.shape == want.shape
    if want.ndim == 3 and want.shape[2] == 4:  # What is not seen has no colour.
        assert np.abs(found[..., 3] - want[..., 3]).max() <= off
        found, want = (v[..., :3] * (v[..., 3:] > 0) for v in (found, want))
    assert np.abs(found - want).max() <= off


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(mode):
    values, want, off = MODES[mode]
    assert_is(upright(image_of(mode, values)), np.asarray(want), off)


@pytest.mark.parametrize("name", FILES)
def test_every_format_and_mode(name):
    content, want, off = FILES[name]
    image = opened(content)
    assert image.format in name
    want = np.asarray(want, float)
    if image.mode in ("RGB", "RGBA", "P") and want.ndim == 2:  # Some formats know no grey.
        want = want[..., None].repeat(3, -1)
    assert_is(upright(image), want, off)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation(kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = Image.fromarray(np.array([[250, 0], [130, 60], [90, 30]], np.uint8)).resize((48, 72), 0).convert("RGB")
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(kind, {})
    shown = upright(opened(encoded(stored, kind, exif=exif, **options)))
    # Exif 2.3: where the stored first row and the stored first column are on what is seen.
    values = np.asarray(stored.convert("L"))
    want = {1: values, 2: values[:, ::-1], 3: values[::-1, ::-1], 4: values[::-1], 5: values.T, 6: values[::-1].T,
            7: values[::-1, ::-1].T, 8: values.T[::-1]}[turn]  # fmt: skip
    assert np.abs(np.asarray(shown.convert("L")).astype(int) - want).max() <= 8


def test_an_orientation_behind_the_pixels_and_one_without_sense():
    exif = Image.Exif()
    exif[0x0112] = 6
    behind = png(COLOUR, 8, 2, after=chunk(b"eXIf", exif.tobytes()[6:]))
    assert not is_plain(opened(behind), behind)
    assert upright(opened(behind)).size == (HEIGHT, WIDTH)
    content = encoded(Image.fromarray(COLOUR), "JPEG", exif=b"Exif\0\0nonsense")
    assert orientation(opened(content)) == 1
    assert upright(opened(content)).size == SIZE


@pytest.mark.parametrize(
    ("content", "plain"),
    [
        (encoded(Image.fromarray(COLOUR), "JPEG"), True),
        (encoded(Image.fromarray(GREY), "JPEG", progressive=True), True),
        (encoded(image_of("CMYK", C4), "JPEG"), False),
        (encoded(Image.fromarray(C4), "PNG"), True),
        (FILES["PNG L "][0], True),
        *[(FILES[f"PNG {name}"][0], False) for name in ("RGB 16", "RGBA 16", "LA 16", "RGB key", "L key", "L 2", "P ")],
        (png(COLOUR, 8, 2, after=chunk(b"tEXt", b"a\0b")), False),
        (png(COLOUR, 8, 2, before=chunk(b"acTL", b"\0\0\0\1\0\0\0\0")), False),
        (encoded(Image.fromarray(C4), "WEBP"), True),
        (encoded(Image.fromarray(COLOUR), "WEBP", icc_profile=b"p" * 200), True),
        (encoded(Image.fromarray(COLOUR), "BMP"), False),
        (encoded(Image.fromarray(COLOUR), "GIF"), False),
        (encoded(Image.fromarray(COLOUR), "TIFF"), False),
    ],
)  # fmt: skip
def test_what_is_plain(content, plain):
    assert is_plain(opened(content), content) is plain


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF", "MPO"])
def test_several_frames_are_animated_and_several_pages_are_not(kind):
    image = opened(frames(kind))
    assert is_animated(image) == (kind not in ("TIFF", "MPO"))
    assert upright(image).getpixel((0, 0))[0] < 8  # the first
    assert not is_animated(opened(frames(kind, 1)))


def test_the_largest_icon_is_shown():
    sizes = [(16, 16), (32, 32), (48, 48)]
    image = opened(encoded(Image.new("RGB", (48, 48), "red"), "ICO", sizes=sizes))
    assert not is_animated(image)
    assert upright(image).size == (48, 48)


def test_frames_are_not_counted():
    one = frames("GIF", 2, duration=100)
    at = one.index(b"!\xf9", one.index(b"!\xf9") + 2)
    long = one[:at] + one[at:-1] * 200_000 + one[-1:]
    ring = tiff(GREY.tobytes(), SIZE, [8], 1, following=8 + GREY.size)  # The next directory is the first.
    pages = b"".join(struct.pack("<HHHIHHHI", 1, 256, 3, 1, 1, 0, 0, 8 + 18 * n) for n in range(1, 100_000))
    chain = tiff(GREY.tobytes(), SIZE, [8], 1, following=20_000)
    chain = chain.ljust(20_000, b"\0") + pages
    started = time.monotonic()
    assert is_animated(opened(long))
    assert not is_animated(opened(ring))
    assert not is_animated(opened(chain))
    assert upright(opened(ring)).size == upright(opened(chain)).size == SIZE
    assert time.monotonic() - started < 2
