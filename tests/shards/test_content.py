import io
import threading
import time

import pytest
from PIL import Image

from pipeline.shards.content import ImageFile, image_loader, image_path, loaded, local_content
from pipeline.shards.jpeg import jpeg_size
from tests.images.files import encoded, huge

PREFIX = "https://p.test/a/"


def png(**options) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("x.png", "x.png"),
        ("b/c/x.png?size=3#f", "b/c/x.png"),
        ("b/../x.png", "x.png"),
        ("%61%20b.png", "a b.png"),
        ("/x.png", "x.png"),
        ("../x.png", None),
        ("b/../../x.png", None),
        ("%2e%2e/x.png", None),
        ("..%2fx.png", None),
        ("/../../etc/passwd", None),
        ("..\\x.png", None),
        ("x%00.png", None),
        ("..", None),
        ("", None),
        ("?x", None),
    ],
)
def test_only_files_below_the_root(url, below):
    assert image_path(PREFIX + url, "/root", PREFIX) == (None if below is None else f"/root/{below}")


def test_images_and_reasons(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(png(format="PNG"))
    for name, content in {
        "a.png": png(format="PNG"),
        "b.bin": png(format="JPEG"),
        "c.webp": png(format="WEBP"),
        "d.gif": png(format="GIF"),
        "e.png": b"",
        "f.png": png(format="PNG")[:-20],
        "g.png": b"<svg/>",
    }.items():
        (root / name).write_bytes(content)
    (root / "folder").mkdir()

    def load(url):
        found = image_loader(local_content(str(root), PREFIX))({"url": url})
        return (found.extension, found.width, found.height) if isinstance(found, ImageFile) else found

    assert load(PREFIX + "a.png") == ("png", 5, 4)
    assert load(PREFIX + "b.bin") == ("jpg", 5, 4)
    assert load(PREFIX + "c.webp") == ("webp", 5, 4)
    assert [load(PREFIX + name) for name in ("d.gif", "e.png", "f.png", "g.png")] == ["unreadable_image"] * 4
    assert load(PREFIX + "none.png") == "missing_image"
    assert load(PREFIX + "folder") == "missing_image"
    assert load(PREFIX + "../secret.png") == "outside_root"
    for url in (f"file://{root}/a.png", "https://other.test/a.png", str(root / "a.png")):
        assert load(url) == "not_local"


@pytest.mark.parametrize("at_a_time", [1, 4, 100])
def test_images_that_are_read_at_a_time_come_in_order(at_a_time):
    reading, most, lock = 0, 0, threading.Lock()

    def load(row):
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        time.sleep(0.001 * (row["i"] % 3))
        with lock:
            reading -= 1
        return row["i"] * 2

    rows = ({"i": i} for i in range(30))
    assert [(row["i"], found) for row, found in loaded(rows, load, at_a_time)] == [(i, 2 * i) for i in range(30)]
    assert most <= at_a_time
    with pytest.raises(KeyError):
        list(loaded([{"i": 1}, {}], load, at_a_time))


@pytest.mark.parametrize("blur", [None, "boxes"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_too_many_pixels_are_not_taken(kind, blur):
    """By the markers of a JPEG and by Pillow; above the limit, above Pillow's own, and above that of a recipe."""
    row = {"boxes": [(0, 0, 0.5, 0.5)]}
    for side in (9_000, 16_000):
        assert image_loader(lambda row, side=side: huge(kind, 12_000, side), blur)(row) == "too_many_pixels"
    small = encoded(Image.new("RGB", (40, 30)), kind)
    assert image_loader(lambda row: small, blur, 1199)(row) == "too_many_pixels"
    assert isinstance(image_loader(lambda row: small, blur, 1200)(row), ImageFile)


def test_too_many_pixels_in_a_jpeg_that_pillow_opens():
    content = encoded(Image.new("RGB", (40, 30)), "JPEG", comment=b"c")
    odd = content.replace(b"\xff\xfe", b"\xff\xff\xfe", 1)  # a filling byte, at which the look at markers ends
    assert jpeg_size(odd) is None
    assert image_loader(lambda row: odd, None, 1199)({}) == "too_many_pixels"
