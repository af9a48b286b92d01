"""Image files of every mode and format that Pillow writes or reads, and the values that they stand for."""

import colorsys
import struct

import numpy as np
from PIL import Image

from .files import HEIGHT, WIDTH, chunk, encoded, icon, png, ramp, tiff, to_bytes

SIZE = (WIDTH, HEIGHT)
C1, C2, C3, C4 = (ramp(channels).astype(np.uint8) for channels in (1, 2, 3, 4))
GREY, COLOUR = C1[..., 0], C3
PALETTE = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """CIELAB (D50) to sRGB by the formulas of CIE 15 and IEC 61966-2-1."""
    lightness, a, b = np.moveaxis(lab.astype(np.float64), -1, 0)
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    linear = xyz @ np.array([[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540],
                             [0.0719453, -0.2289914, 1.4052427]]).T  # fmt: skip
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def from_ycc(values: np.ndarray) -> np.ndarray:
    y, cb, cr = np.moveaxis(values.astype(np.float64), -1, 0)
    cb, cr = cb - 128, cr - 128
    return np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1).clip(0, 255)


def from_cmyk(values: np.ndarray) -> np.ndarray:
    inks = values.astype(np.float64)
    return (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255


def with_alpha(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    colour = np.repeat(colour[..., None], 3, -1) if colour.ndim == 2 else colour
    return np.concatenate([colour, alpha[..., None]], -1)


def image_of(mode: str, values: np.ndarray) -> Image.Image:
    """An image of raw values."""
    if mode == "1":
        return Image.fromarray(values).convert("1", dither=Image.Dither.NONE)
    image = Image.frombytes(mode, SIZE, values.tobytes())
    if mode in ("P", "PA"):
        image.putpalette(PALETTE.tobytes())
    return image


BITS = np.where(GREY > 127, 255, 0).astype(np.uint8)
DEEP = ramp(1, 65_535)[..., 0]
# Lightness by x; a and b by y, signed, as TIFF has them: colours that sRGB has.
LAB = np.stack([30 + GREY // 2, C3[..., 2] // 12 - 10, 10 - C3[..., 2] // 12], -1).astype(np.uint8)
HALF = C4[..., 3] | 1  # Never 0: of nothing times a colour no colour can be told.
PREMULTIPLIED = np.rint(COLOUR * (HALF[..., None] / 255.0)).astype(np.uint8)
# Raw values of each mode of Pillow, what they stand for, and by how much arithmetic may differ.
MODES = {
    "1": (BITS, BITS, 0),
    "L": (GREY, GREY, 0),
    "LA": (C2, with_alpha(C2[..., 0], C2[..., 1]), 0),
    "La": (np.stack([PREMULTIPLIED[..., 0], HALF], -1), with_alpha(PREMULTIPLIED[..., 0] * 255.0 / HALF, HALF), 1),
    "P": (GREY, PALETTE[GREY], 0),
    "PA": (C2, with_alpha(PALETTE[C2[..., 0]], C2[..., 1]), 0),
    "RGB": (COLOUR, COLOUR, 0),
    "RGBA": (C4, C4, 0),
    "RGBa": (with_alpha(PREMULTIPLIED, HALF), with_alpha(PREMULTIPLIED * 255.0 / HALF[..., None], HALF), 1),
    "RGBX": (C4, COLOUR, 0),
    "CMYK": (C4, from_cmyk(C4), 1),
    "YCbCr": (COLOUR, from_ycc(COLOUR), 1),
    "LAB": (LAB, from_lab(np.concatenate([LAB[..., :1] / 2.55, LAB[..., 1:].view(np.int8)], -1)), 3),
    "HSV": (COLOUR, 255 * np.apply_along_axis(lambda v: colorsys.hsv_to_rgb(*v / 255), 2, COLOUR.astype(float)), 2),
    "I": (DEEP.astype("<i4"), to_bytes(DEEP, 65_535), 0),
    "I;16": (DEEP.astype("<u2"), to_bytes(DEEP, 65_535), 0),
    "I;16L": (DEEP.astype("<u2"), to_bytes(DEEP, 65_535), 0),
    "I;16B": (DEEP.astype(">u2"), to_bytes(DEEP, 65_535), 0),
    "F": ((DEEP / 65_535).astype("<f4"), to_bytes(DEEP, 65_535), 0),
}  # fmt: skip
# The modes that each format keeps in Pillow's writer, and how it keeps the values.
WRITTEN = [
    ("PNG", "1 L LA P RGB RGBA I;16 I;16B", {}, 0),
    ("TIFF", "1 L LA P PA RGB RGBA RGBX CMYK YCbCr LAB I I;16 I;16B I;16L F", {}, 0),
    ("TIFF", "1 L LA P RGB RGBA CMYK LAB I I;16 F", {"compression": "tiff_adobe_deflate"}, 0),
    ("WEBP", "1 L LA P RGB RGBA RGBX", {"lossless": True, "exact": True}, 0),
    ("AVIF", "1 L LA RGB RGBA", {"quality": 100, "subsampling": "4:4:4"}, 3),
    ("JPEG2000", "L LA RGB RGBA I;16 I;16B", {}, 0),
    ("JPEG2000", "L RGB I;16", {"no_jp2": True}, 0),
    ("BMP", "1 L P RGB", {}, 0),
    ("DIB", "1 L P RGB", {}, 0),
    ("GIF", "1 L P", {}, 0),
    ("ICO", "1 L LA P RGB RGBA I;16", {"sizes": [SIZE]}, 0),
    ("ICO", "RGBA", {"sizes": [SIZE], "bitmap_format": "bmp"}, 0),
    ("TGA", "1 L LA P RGB RGBA", {}, 0),
    ("TGA", "L LA P RGB RGBA", {"compression": "tga_rle"}, 0),
    ("PCX", "1 L P RGB", {}, 0),
    ("JPEG", "1 L RGB RGBX CMYK", {"quality": 100, "subsampling": 0}, 3),
]
FILES = {
    f"{kind} {mode} {' '.join(map(str, options.values()))}": (
        encoded(image_of(mode, MODES[mode][0]), kind, **options),
        MODES[mode][1],
        MODES[mode][2] + off,
    )
    for kind, modes, options, off in WRITTEN
    for mode in modes.split()
}

# What Pillow reads and does not write.
R3, R4 = ramp(3, 65_535), ramp(4, 65_535)
KEY = chunk(b"tRNS", struct.pack(">H", int(DEEP[0, 77])))


def tiff_of(values: np.ndarray, kind: str, bits: int, photometric: int = 1, **options) -> bytes:
    channels = values.shape[2] if values.ndim == 3 else 1
    return tiff(values.astype(kind).tobytes(), SIZE, [bits] * channels, photometric, kind[0], **options)


def packed_12() -> bytes:
    values = ramp(1, 4095).astype(int).reshape(-1, 2)
    a, b = values.T
    return np.stack([a >> 4, (a & 15) << 4 | b >> 8, b & 255], -1).astype(np.uint8).tobytes()


def grey_key(depth: int, key: int) -> tuple[bytes, np.ndarray]:
    """A PNG of few greys, of which one is transparent."""
    values = np.arange(WIDTH)[None, :, None].repeat(HEIGHT, 0) % 2**depth
    grey = (values[..., 0] * 255 // (2**depth - 1)).astype(np.uint8)
    alpha = np.where(values[..., 0] == key, 0, 255)
    return png(values, depth, 0, chunk(b"tRNS", struct.pack(">H", key))), with_alpha(grey, alpha)


SEEN = np.where(np.arange(256) % 3 == 0, np.arange(256), 255).astype(np.uint8)
OF_PALETTE = chunk(b"PLTE", PALETTE.tobytes()) + chunk(b"tRNS", SEEN.tobytes())
FLOATS = ramp(1, 1)[..., 0].astype(float) * 0 + np.arange(WIDTH) / (WIDTH - 1)
BROKEN_FLOATS = FLOATS.copy()
BROKEN_FLOATS[0, 100:103] = np.nan, np.inf, -np.inf
FILES |= {
    "PNG RGB 16": (png(R3, 16, 2), to_bytes(R3, 65_535), 1),
    "PNG RGBA 16": (png(R4, 16, 6), to_bytes(R4, 65_535), 1),
    "PNG LA 16": (png(ramp(2, 65_535), 16, 4), with_alpha(*np.moveaxis(to_bytes(ramp(2, 65_535), 65_535), -1, 0)), 1),
    "PNG L 16 key": (png(DEEP[..., None], 16, 0, KEY), with_alpha(GREY, np.where(DEEP[0, 77] == DEEP, 0, 255)), 0),
    "PNG RGB key": (
        png(COLOUR, 8, 2, chunk(b"tRNS", struct.pack(">3H", *COLOUR[3, 50]))),
        with_alpha(COLOUR, np.where((COLOUR[3, 50] == COLOUR).all(-1), 0, 255)), 0),
    "PNG RGB 16 key": (
        png(R3, 16, 2, chunk(b"tRNS", struct.pack(">3H", *map(int, R3[3, 50])))),
        with_alpha(to_bytes(R3, 65_535), np.where((R3 >> np.uint64(8) == R3[3, 50] >> np.uint64(8)).all(-1), 0, 255)), 1),
    "PNG L key": (png(C1, 8, 0, chunk(b"tRNS", b"\0\x4d")), with_alpha(GREY, np.where(GREY == 77, 0, 255)), 0),
    "PNG 1 key": (*grey_key(1, 1), 0),
    "PNG L 2 key": (*grey_key(2, 2), 0),
    "PNG L 4 key": (*grey_key(4, 9), 0),
    "PNG P with transparency": (png(C1, 8, 3, OF_PALETTE), with_alpha(PALETTE[GREY], SEEN[GREY]), 0),
    "ICO P with transparency": (icon(png(C1, 8, 3, OF_PALETTE), 0, HEIGHT), with_alpha(PALETTE[GREY], SEEN[GREY]), 0),
    "GIF with transparency": (
        encoded(image_of("P", GREY), "GIF", transparency=9), with_alpha(PALETTE[GREY], np.where(GREY == 9, 0, 255)), 0),
    **{f"PNG L {depth}": (png(np.arange(WIDTH)[None, :, None].repeat(HEIGHT, 0) % 2**depth, depth, 0),
                          (np.arange(WIDTH)[None].repeat(HEIGHT, 0) % 2**depth * 255 // (2**depth - 1)), 0)
       for depth in (1, 2, 4)},
    **{f"TIFF RGB 16 {order} {deflate}": (tiff_of(R3, f"{order}u2", 16, 2, deflate=deflate), to_bytes(R3, 65_535), 1)
       for order in "<>" for deflate in (False, True)},
    "TIFF RGBA 16": (tiff_of(R4, "<u2", 16, 2, extra=[2]), to_bytes(R4, 65_535), 1),
    "TIFF CMYK 16": (tiff_of(R4, "<u2", 16, 5), from_cmyk(R4 / 257), 2),
    "TIFF L white is 0": (tiff_of(GREY, "<u1", 8, 0), 255 - GREY, 0),
    "TIFF L 16 white is 0": (tiff_of(DEEP, "<u2", 16, 0), 255 - GREY, 0),
    "TIFF L 12": (tiff(packed_12(), SIZE, [12], 1), GREY, 0),
    "TIFF whole numbers to 200": (tiff_of(np.minimum(GREY, 200), "<u4", 32), np.minimum(GREY, 200), 0),
    "TIFF unsigned 32": (tiff_of(ramp(1, 2**32 - 1), "<u4", 32), GREY, 0),
    "TIFF signed 32, to 2^31": (tiff_of(ramp(1, 2**31 - 1), "<i4", 32, sample_format=[2]), GREY / 2, 1),
    "TIFF signed 32": (tiff_of(ramp(1, 2**32 - 1).astype(np.int64) - 2**31, "<i4", 32, sample_format=[2]), GREY, 0),
    "TIFF signed 16": (tiff_of(DEEP.astype(int) - 32_768, "<i2", 16, sample_format=[2]), GREY, 0),
    "TIFF signed 16 >": (tiff_of(DEEP.astype(int) - 32_768, ">i2", 16, sample_format=[2]), GREY, 0),
    "TIFF floats to 0.5": (tiff_of(FLOATS / 2, "<f4", 32, sample_format=[3]), GREY / 2, 0.6),
    "TIFF floats to 1 >": (tiff_of(FLOATS, ">f4", 32, sample_format=[3]), GREY, 0),
    "TIFF floats to 255": (tiff_of(FLOATS * 255, "<f4", 32, sample_format=[3]), GREY, 0),
    "TIFF floats to 65,535": (tiff_of(FLOATS * 65_535, "<f4", 32, sample_format=[3]), GREY, 0),
    "TIFF floats beyond": (tiff_of(FLOATS * 1e9 + 1e8, "<f4", 32, sample_format=[3]), GREY, 0),
    "TIFF floats below 0": (tiff_of(FLOATS - 0.5, "<f4", 32, sample_format=[3]), GREY, 0),
    "TIFF floats white is 0": (tiff_of(FLOATS, "<f4", 32, 0, sample_format=[3]), 255 - GREY, 0),
    "TIFF floats that are none": (
        tiff_of(BROKEN_FLOATS, "<f4", 32, sample_format=[3]), np.where(np.isfinite(BROKEN_FLOATS), GREY, 0), 0),
    "TIFF floats, none is a number": (tiff_of(FLOATS * np.nan, "<f4", 32, sample_format=[3]), 0 * GREY, 0),
    "TIFF floats, all the same": (tiff_of(FLOATS * 0 - 7, "<f4", 32, sample_format=[3]), 0 * GREY, 0),
}  # fmt: skip
