"""Image files that Pillow does not write, from their parts, and the values that they stand for."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 256, 16
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\nshowpage\n%%EOF\n"
BOMBS = ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "PCX", "JPEG2000", "ICO", "ICO bitmap"]  # of ``huge``


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def ramp(channels: int, most: int = 255) -> np.ndarray:
    """Gradients from 0 to ``most``, another way in each channel: uint64 of shape (height, width, channels)."""
    x, y = np.arange(WIDTH) / (WIDTH - 1), np.arange(HEIGHT)[:, None] / (HEIGHT - 1)
    ways = [x + 0 * y, 1 - x + 0 * y, y + 0 * x, (x + y) / 2]
    return np.rint(np.stack(ways[:channels], -1) * most).astype(np.uint64)


def to_bytes(values: np.ndarray, most: int) -> np.ndarray:
    """Values of 0 to ``most`` as 8 bits."""
    return np.rint(values.astype(np.float64) * 255 / most).astype(np.uint8)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    values: np.ndarray, depth: int, colour: int, before: bytes = b"", after: bytes = b"", interlace: int = 0
) -> bytes:
    """A PNG of values (height, width, channels), with further chunks before and after its pixels."""
    height, width, _ = values.shape
    if depth == 16:
        lines = values.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        bits = (values.reshape(height, -1, 1).astype(np.uint8) >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1
        lines = np.packbits(bits.reshape(height, -1), axis=1)
    pixels = b"".join(b"\0" + line.tobytes() for line in lines)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    body = chunk(b"IHDR", head) + before + chunk(b"IDAT", zlib.compress(pixels)) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(
    pixels: bytes, size: tuple[int, int], bits: list[int], photometric: int, order: str = "<", deflate: bool = False,
    following: int = 0, **tags: list[int],
) -> bytes:  # fmt: skip
    """A TIFF of one strip; ``tags``: ``sample_format``, ``extra``, ``orientation``; ``following``: the next directory."""
    pixels = zlib.compress(pixels) if deflate else pixels
    numbers = {"sample_format": 339, "extra": 338, "orientation": 274}
    entries = {
        256: [size[0]], 257: [size[1]], 258: bits, 259: [8 if deflate else 1], 262: [photometric], 273: [8],
        277: [len(bits)], 278: [size[1]], 279: [len(pixels)], 284: [1],
    } | {numbers[name]: values for name, values in tags.items()}  # fmt: skip
    pixels += b"\0" * (len(pixels) % 2)
    at = 8 + len(pixels)
    behind, directory = at + 2 + 12 * len(entries) + 4, b""
    more = b""
    for tag, values in sorted(entries.items()):
        kind = 3 if max(values) < 65536 else 4
        value = struct.pack(f"{order}{len(values)}{'HI'[kind - 3]}", *values)
        if len(value) > 4:
            value, more = struct.pack(f"{order}I", behind + len(more)), more + value
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at)
    return (
        head + pixels + struct.pack(f"{order}H", len(entries)) + directory + struct.pack(f"{order}I", following) + more
    )


def icon(content: bytes, width: int = 0, height: int = 0) -> bytes:
    """An ICO with one image file (or bitmap) in it."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, width, height, 0, 0, 1, 32, len(content), 22) + content


def huge(kind: str, width: int = 20_000, height: int = 10_000) -> bytes:
    """A small file whose header says that it is large."""
    small = Image.new("RGB", (8, 8))
    if kind == "PNG":
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    if kind == "ICO":
        return icon(huge("PNG", width, height))
    if kind == "ICO bitmap":
        return icon(struct.pack("<IiiHHIIiiII", 40, width, 2 * height, 1, 32, 0, 0, 0, 0, 0, 0) + bytes(64))
    if kind == "TIFF":
        return tiff(b"\0" * 8, (width, height), [8], 1)
    content = bytearray(encoded(small, kind))
    if kind == "JPEG":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = struct.pack(">HH", height, width)
    elif kind == "BMP":
        content[18:26] = struct.pack("<ii", width, height)
    elif kind == "GIF":
        content[6:10] = struct.pack("<HH", width, height)
    elif kind == "TGA":
        content[12:16] = struct.pack("<HH", width, height)
    elif kind == "PCX":
        content[8:12] = struct.pack("<HH", width - 1, height - 1)
    elif kind == "WEBP":
        content = bytearray(encoded(small, "WEBP", lossless=True))
        content[21:25] = (width - 1 | height - 1 << 14).to_bytes(4, "little")
    elif kind == "JPEG2000":
        for mark in (b"ihdr", b"\xff\x51"):
            at = content.index(mark) + (4 if mark == b"ihdr" else 6)
            content[at : at + 8] = struct.pack(">II", *((height, width) if mark == b"ihdr" else (width, height)))
    else:
        raise ValueError(kind)
    return bytes(content)


def frames(kind, count=3, **options):
    first, *rest = [Image.new("RGB", (20, 10), (80 * n, 0, 0)) for n in range(count)]
    return encoded(first, kind, save_all=True, append_images=rest, **options)
