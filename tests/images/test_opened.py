"""What is opened at all: the formats of the web, within the limit of pixels, and nothing that starts a program."""

import io
import os
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from pipeline.images.decode import FORMATS, MOST_PIXELS, TooManyPixels, opened, upright
from pipeline.recipe import Images

from .files import BOMBS, EPS, chunk, encoded, huge, png
from .modes import COLOUR


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("side", [8_000, 16_000])
def test_an_image_of_too_many_pixels_is_not_opened(kind, side):
    """Above the limit of the recipe (128 million), and above Pillow's own (256 million)."""
    with pytest.raises(TooManyPixels):
        opened(huge(kind, 16_000, side))


def test_the_limit_is_the_recipes():
    content = encoded(Image.new("RGB", (40, 30)), "PNG")
    assert opened(content, 1200).size == (40, 30)
    with pytest.raises(TooManyPixels, match="40 x 30 pixels; 1,199 are allowed"):
        opened(content, 1199)
    assert Images().most_pixels == MOST_PIXELS
    # One above Pillow's is a limit too.
    code = "import sys; from pipeline.images.decode import opened; print(opened(sys.stdin.buffer.read(), 300_000_000).size)"
    done = subprocess.run([sys.executable, "-c", code], input=huge("PNG"), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"(20000, 10000)\n", b"")


def test_no_warning_is_printed():
    code = "\n".join([
        "import sys, pipeline.images.decode as decode",
        "try: decode.opened(sys.stdin.buffer.read())",
        "except decode.TooManyPixels: print('refused')",
    ])  # fmt: skip
    content = huge("PNG", 12_000, 10_000)
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"refused\n", b"")


def test_it_imports_neither_opencv_nor_img2dataset():
    code = "import sys, pipeline.images.decode; print(sorted({'cv2', 'img2dataset', 'torch', 'pyspark'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


FITS = b"".join(
    line.ljust(80) for line in (b"SIMPLE  = T", b"BITPIX  = 8", b"NAXIS   = 2", b"NAXIS1  = 4", b"NAXIS2  = 4", b"END")
).ljust(2880) + bytes(2880)
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(12) + b"\0\0" + bytes(48)
REFUSED = {
    "EPS": EPS,
    "FITS": FITS,
    "PSD": PSD,
    **{kind: encoded(Image.new("RGB", (4, 4)), kind) for kind in ("PPM", "SGI", "DDS", "PDF")},
    "WMF": struct.pack("<I", 0x9AC6CDD7) + struct.pack("<HhhhhHIH", 0, 0, 0, 40, 30, 96, 0, 0) + bytes(40),
    "XPM": b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #FF0000",\n"a"};\n',
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "nothing": b"",
    "text": b"no image at all, but a text of some length",
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_formats_that_are_not_of_the_web_are_not_opened(kind):
    with pytest.raises(OSError, match="cannot identify"):
        opened(REFUSED[kind])


def test_the_list_holds_no_format_that_starts_a_program():
    assert not {"EPS", "WMF", "FITS", "PSD", "FPX", "MIC", "GRIB", "HDF5", "BUFR"} & set(FORMATS)
    assert all(kind in Image.OPEN for kind in FORMATS)


def test_no_ghostscript_is_started(tmp_path, monkeypatch):
    ghostscript, mark = tmp_path / "gs", tmp_path / "started"
    ghostscript.write_text(f"#!/bin/sh\ntouch {mark}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code = "import io, sys; from PIL import Image; Image.open(io.BytesIO(sys.stdin.buffer.read())).load()"
    subprocess.run([sys.executable, "-c", code], input=EPS, capture_output=True, check=False)
    assert mark.exists()  # as Pillow alone does it
    mark.unlink()
    for take in PLACES:
        take(EPS)
    assert not mark.exists()


def _fetched(content: bytes) -> None:
    pytest.importorskip("img2dataset")
    from pipeline.images.resize import LimitedResizer

    assert LimitedResizer(None, 10**6)(io.BytesIO(content))[-1] == "not an image"


def _filtered(content: bytes) -> None:
    from pipeline.filter.hashes import facts

    assert facts(content, 10**6) == "unreadable_image"


def _in_a_shard(content: bytes) -> None:
    from pipeline.shards.content import image_loader

    for boxes in (None, "[[0, 0, 1, 1]]"):
        load = image_loader(lambda row: content, "boxes" if boxes else None)
        assert load({"boxes": boxes}) == "unreadable_image"


def _trained_on(content: bytes) -> None:
    from pipeline.train.images import decode

    with pytest.raises(OSError, match="cannot identify"):
        decode(content)


PLACES = (_fetched, _filtered, _in_a_shard, _trained_on)


def test_a_png_with_a_text_that_is_a_bomb():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 100_000_000, 9))
    with pytest.raises((OSError, ValueError, SyntaxError)):
        upright(opened(png(COLOUR, 8, 2, before=text)))
