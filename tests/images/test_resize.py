"""What the resizer makes of images of every kind, through OpenCV."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("img2dataset")

import cv2
from img2dataset.resizer import Resizer

from pipeline.images.decode import is_plain, opened, upright
from pipeline.images.fetch import reason
from pipeline.images.resize import LimitedResizer

from .files import BOMBS, EPS, encoded, frames, huge, png, ramp, to_bytes
from .modes import C1, C2, C4, COLOUR, FILES, GREY


def resized(content: bytes, size: int = 16, most_pixels: int = 10_000, kind: str = "jpg", quality: int = 95):
    """The image, or why there is none."""
    resizer = Resizer(size, "keep_ratio", True, encode_format=kind, encode_quality=quality)
    found, *_, error = LimitedResizer(resizer, most_pixels)(io.BytesIO(content))
    return error if found is None else Image.open(io.BytesIO(found))


def on_white(values: np.ndarray) -> np.ndarray:
    values = values.astype(float)
    values = values[..., None].repeat(3, -1) if values.ndim == 2 else values
    alpha = values[..., 3:] / 255 if values.shape[2] == 4 else 1
    return alpha * values[..., :3] + 255 * (1 - alpha)


@pytest.mark.parametrize("name", FILES)
def test_every_format_and_mode_has_its_values(name):
    content, want, off = FILES[name]
    found = resized(content, 1000, kind="png", quality=1)
    assert np.abs(np.asarray(found.convert("RGB")) - on_white(np.asarray(want))).max() <= off + 0.51


def by_opencv(values: np.ndarray, ending: str) -> bytes:
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[values.shape[2]]
    done, content = cv2.imencode(ending, np.ascontiguousarray(values[..., order]))
    assert done
    return content.tobytes()


@pytest.mark.parametrize(("ending", "channels"), [*[(e, c) for e in (".png", ".tiff") for c in (1, 3, 4)], (".jp2", 1)])
def test_16_bits_as_opencv_writes_them(ending, channels):
    values = ramp(channels, 65_535).astype(np.uint16).repeat(4, 0)
    want = on_white(to_bytes(values, 65_535))
    for kind, quality, off in (("png", 1, 1.51), ("jpg", 100, 40), ("webp", 100, 40)):
        found = np.asarray(resized(by_opencv(values, ending), 1000, 20_000, kind, quality).convert("RGB"))
        assert np.abs(found - want).max() <= off
        assert np.abs(found.mean((0, 1)) - want.mean((0, 1))).max() < 1.5


def test_a_jpeg_2000_that_pillow_reads_wrongly_is_refused():
    values = ramp(3, 65_535).astype(np.uint16).repeat(4, 0)
    assert resized(by_opencv(values, ".jp2"), most_pixels=20_000) == "not an image"
    found = resized(by_opencv(to_bytes(values, 65_535), ".jp2"), 1000, 20_000, "png", 1)
    assert (np.asarray(found) == to_bytes(values, 65_535)).all()


def test_floats_as_opencv_writes_them():
    values = ramp(1, 65_535).astype(np.float32) / 65_535
    found = resized(by_opencv(values, ".tiff"), 1000, kind="png", quality=1)
    assert (np.asarray(found) == GREY).all()


SCENE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)).resize((117, 81), 3)
CUT_OUT = SCENE.copy()
CUT_OUT.putalpha(Image.fromarray(np.tile(np.arange(117) * 2, (81, 1)).astype(np.uint8)))
PLAIN = {
    **{f"JPEG {s} {q}": encoded(SCENE, "JPEG", subsampling=s, quality=q) for s in (0, 1, 2) for q in (20, 75, 97)},
    "JPEG progressive": encoded(SCENE, "JPEG", progressive=True),
    "JPEG that is RGB": encoded(SCENE, "JPEG", keep_rgb=True),
    "JPEG grey": encoded(SCENE.convert("L"), "JPEG"),
    "MPO": encoded(SCENE, "MPO", save_all=True, append_images=[SCENE.rotate(90)]),
    "PNG": encoded(SCENE, "PNG"),
    "PNG grey": encoded(SCENE.convert("L"), "PNG"),
    "PNG with alpha": encoded(CUT_OUT, "PNG"),
    "WebP": encoded(SCENE, "WEBP"),
    "WebP lossless": encoded(SCENE, "WEBP", lossless=True),
    "WebP with alpha": encoded(CUT_OUT, "WEBP"),
    "WebP with a profile": encoded(SCENE, "WEBP", icc_profile=b"p" * 200),
}


@pytest.mark.parametrize("name", PLAIN)
def test_opencv_decodes_what_is_plain_as_pillow_does(name):
    content = PLAIN[name]
    assert is_plain(opened(content), content)
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    want = np.asarray(upright(opened(content)))
    if want.ndim == 3:
        found = found[..., [2, 1, 0, 3][: found.shape[2]]]
    assert found.shape == want.shape
    assert (found == want).all()


NOT_PLAIN = [
    png(ramp(3, 65_535), 16, 2),
    png(C2, 8, 4),
    png(C1 % 4, 2, 0),
    encoded(Image.frombytes("CMYK", (256, 16), C4.tobytes()), "JPEG"),
    encoded(Image.fromarray(COLOUR), "BMP"),
]


@pytest.mark.parametrize("content", [*PLAIN.values(), *NOT_PLAIN])
def test_what_opencv_is_given_is_plain(content):
    given = []

    def resizer(stream, _boxes):
        given.append(stream.getvalue())
        return (None,) * 6

    LimitedResizer(resizer, 10_000)(io.BytesIO(content))
    assert is_plain(opened(given[0]), given[0])
    assert (given[0] == content) == (content in PLAIN.values())


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("side", [8_000, 16_000])
def test_too_many_pixels_have_their_reason(kind, side):
    error = resized(huge(kind, 16_000, side), most_pixels=100_000_000)
    assert reason("failed_to_resize", error) == "too_many_pixels"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (encoded(Image.new("RGB", (200, 100)), "PNG"), "too_many_pixels"),
        (frames("GIF"), "animated"),
        (frames("PNG"), "animated"),
        (frames("WEBP"), "animated"),
        (frames("AVIF"), "animated"),
        (b"<svg/>", "unreadable_image"),
        (EPS, "unreadable_image"),
        (b"", "unreadable_image"),
        (encoded(SCENE, "PNG")[:-300], "unreadable_image"),
        (encoded(SCENE, "JPEG")[:-300], "unreadable_image"),
        (encoded(SCENE, "WEBP")[:-300], "unreadable_image"),
        (encoded(SCENE, "TIFF")[:-9000], "unreadable_image"),
    ],
)
def test_what_is_refused(content, word):
    assert reason("failed_to_resize", resized(content)) == word


@pytest.mark.parametrize("kind", ["TIFF", "MPO"])
def test_of_several_pages_the_first_is_taken(kind):
    assert resized(frames(kind)).size == (20, 10)


def test_images_of_every_kind_are_right_or_refused():
    colour = Image.new("RGB", (40, 20), (200, 30, 40))
    clear = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    clear.paste((200, 30, 40, 255), (0, 0, 40, 20))
    deep = Image.fromarray(np.full((20, 40), 30_000, np.uint16))
    red, grey = (200, 30, 40), (117, 117, 117)
    for image, kind, want in (
        (colour, "PNG", red), (colour.convert("CMYK"), "JPEG", red), (clear.quantize(4), "PNG", red), (deep, "PNG", grey),
        (colour.convert("L"), "JPEG", (82, 82, 82)), (Image.new("LA", (40, 20), (117, 255)), "PNG", grey),
        (Image.new("RGBA", (40, 20), (9, 9, 9, 0)), "PNG", (255, 255, 255)), (colour, "WEBP", red), (colour.convert("1"), "PNG", None),
    ):  # fmt: skip
        found = resized(encoded(image, kind))
        assert found.size == (32, 16)
        assert found.mode in ("RGB", "L")
        if want is not None:
            assert np.abs(np.asarray(found.convert("RGB")).mean((0, 1)) - want).max() < 6
    assert resized(encoded(Image.new("RGB", (1, 1)), "PNG")).size == (1, 1)
    assert resized(encoded(Image.new("RGB", (200, 100)), "PNG")) == "too many pixels"
    frames = [Image.new("RGB", (40, 20), colour) for colour in ("red", "blue")]
    assert resized(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])) == "animated"
    assert resized(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])).size == (32, 16)
    assert resized(b"<svg/>") == "not an image"
    assert resized(encoded(colour, "PNG")[:60]) is not None
    turned = Image.new("RGB", (40, 20), "white")
    turned.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees to the right: black is on top
    upright = np.asarray(resized(encoded(turned, "JPEG", exif=exif), size=20).convert("L"))
    assert upright.shape == (40, 20)
    assert upright[:15].max() < 40
    assert upright[25:].min() > 215
