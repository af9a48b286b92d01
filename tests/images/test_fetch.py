"""What came of a picture: words for errors, pictures of every kind, and a shard that accounts for all."""

import io
import resource
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("img2dataset")

from img2dataset.resizer import Resizer

from pipeline.images.addresses import Refused
from pipeline.images.fetch import IMAGES, _LimitedResizer, fetch_shard, next_number, reason, remove_unnamed, retriable
from pipeline.images.writer import SampleWriter
from pipeline.recipe import Images

from .site import Site, jpeg


@pytest.mark.parametrize(
    ("refusal", "word", "again"),
    [
        *((Refused(word), word, False) for word in ("bad_url", "refused_scheme", "refused_address", "certificate", "tls", "bad_answer",
          "too_many_redirects", "too_many_bytes", "opted_out", "http_404", "http_403", "http_302")),
        *((Refused(word), word, True) for word in ("dns", "connection", "timeout", "too_slow", "cut_short", "robots_unreachable",
          "http_408", "http_425", "http_429", "http_500", "http_503")),
        (Refused("connection", "ConnectionResetError: dns"), "connection", True), (Refused("http_429", "Too Many", 30), "http_429", True),
        (ValueError("timeouts are odd"), "failed", False), (MemoryError(), "failed", False), (OSError("dns"), "dns", True),
    ],
)  # fmt: skip
def test_words_for_errors(refusal, word, again):
    assert reason("failed_to_download", str(refusal)) == word
    assert retriable(word) is again


def test_words_for_what_is_no_image():
    words = ["not a picture", "too many pixels", "animated", "image too small", "aspect ratio too large", "(-215) cv"]
    assert [reason("failed_to_resize", word) for word in words] == [
        "unreadable_image", "too_many_pixels", "animated", "too_small", "aspect_too_large", "unreadable_image",
    ]  # fmt: skip


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def resized(content, size=16, most_pixels=10_000):
    resizer = Resizer(image_size=size, resize_mode="keep_ratio", resize_only_if_bigger=True)
    found, *_, error = _LimitedResizer(resizer, most_pixels)(io.BytesIO(content))
    return error if found is None else Image.open(io.BytesIO(found))


def test_pictures_of_every_kind_are_right_or_refused():
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
    assert resized(b"<svg/>") == "not a picture"
    assert resized(encoded(colour, "PNG")[:60]) is not None
    turned = Image.new("RGB", (40, 20), "white")
    turned.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees to the right: black is on top
    upright = np.asarray(resized(encoded(turned, "JPEG", exif=exif), size=20).convert("L"))
    assert upright.shape == (40, 20)
    assert upright[:15].max() < 40
    assert upright[25:].min() > 215


def test_a_shard_accounts_for_all_and_leaves_no_rest(tmp_path):
    with Site() as site:
        urls = [f"{site.url}/good/{i}.jpg" for i in range(5)] + [f"{site.url}/status/404", "file:///etc/passwd"]
        images = [{"image_id": f"{i:03d}", "url": url} for i, url in enumerate(urls)]
        options = Images(fetch=True, size=32, allow_networks=["127.0.0.0/8"], threads=4)
        fetch_shard(str(tmp_path), 3, images, options)
        first = {file.name for file in tmp_path.glob("*.tar")}
        fetch_shard(str(tmp_path), 3, images, options)  # as a task that runs again
        site.shutdown()
    table = pq.read_table(tmp_path / "000003.parquet")
    assert table.schema.equals(IMAGES)
    rows = table.to_pylist()
    assert [row["image_id"] for row in rows] == [image["image_id"] for image in images]
    assert [row["status"] for row in rows] == ["success"] * 5 + ["http_404", "refused_scheme"]
    assert len(list(tmp_path.glob("*.tar"))) == 2
    remove_unnamed(str(tmp_path))
    (tar,) = tmp_path.glob("*.tar")
    assert {tar.name} == {row["shard"] for row in rows if row["shard"]} != first
    content = tar.read_bytes()
    for i, row in enumerate(rows[:5]):
        with Image.open(io.BytesIO(content[row["image_offset"] :][: row["image_size"]])) as image:
            want = Image.open(io.BytesIO(jpeg(i))).resize((1, 1)).getpixel((0, 0))
            assert np.abs(np.array(image.resize((1, 1)).getpixel((0, 0))) - want).max() < 8
            assert image.size == (row["width"], row["height"])


def fetched(folder, number, urls, **options):
    images = [{"image_id": f"{i:03d}", "url": url} for i, url in enumerate(urls)]
    found = Images(fetch=True, size=32, allow_networks=["127.0.0.0/8"], threads=4, **options)
    fetch_shard(str(folder), number, images, found)
    return pq.read_table(folder / f"{number:06d}.parquet").to_pylist()


def test_no_thread_is_left_behind(tmp_path):
    with Site() as site:
        fetched(tmp_path, 0, [f"{site.url}/good/1.jpg"], ask_hosts=True, most_seconds=5)
        before = [thread.name for thread in threading.enumerate() if "process_request" not in thread.name]
        for number in range(1, 5):
            fetched(tmp_path, number, [f"{site.url}/good/{i}.jpg" for i in range(3)], ask_hosts=True, most_seconds=5)
        after = [thread.name for thread in threading.enumerate() if "process_request" not in thread.name]
        site.shutdown()
    assert len(after) == len(before)


def test_a_late_second_try_takes_no_tar_away(tmp_path):
    """The run goes on with what the first try said; then the second puts its table in the place of the first's."""
    with Site() as site:
        (first,) = fetched(tmp_path, 0, [f"{site.url}/good/1.jpg"])
        (second,) = fetched(tmp_path, 0, [f"{site.url}/good/1.jpg"])
        (tmp_path / "000000-0badbeef.tar").write_bytes(b"of a task that was killed")
        (tmp_path / "000001-0badbeef.tar.part").write_bytes(b"of a task that was killed")
        site.shutdown()
    remove_unnamed(str(tmp_path), [first["shard"]])
    assert {file.name for file in tmp_path.glob("*.tar*")} == {first["shard"], second["shard"]}
    assert next_number(str(tmp_path)) == 1
    (tmp_path / "000007-0badbeef.tar.part").write_bytes(b"of a task that goes on somewhere")
    assert next_number(str(tmp_path)) == 8


def test_urls_that_urllib_does_not_take(tmp_path):
    with Site() as site:
        good = [f"  {site.url}/good/1.jpg\n", f"{site.url}/good/2.jpg?q=ein Hund ü", site.url.upper() + "/good/3.jpg"]
        odd = {"http://[::1": "bad_url", "": "bad_url", "x": "bad_url", "not a url": "bad_url", "http://a..b/": "bad_url",
               " file:///etc/passwd": "refused_scheme", "//10.0.0.1/x": "refused_address", "http://0x7f.1:1/": "connection"}  # fmt: skip
        rows = fetched(tmp_path, 0, [*good, *odd])
        none = fetched(tmp_path, 1, list(odd)[:3])
        site.shutdown()
    assert [row["status"] for row in rows] == ["success"] * 3 + list(odd.values())
    assert [row["url"] for row in rows] == [*good, *odd]
    assert [row["status"] for row in none] == ["bad_url"] * 3


def test_the_rest_that_a_host_wants_is_noted(tmp_path):
    with Site() as site:
        urls = [
            f"{site.url}/later/7?after=30",
            f"{site.url}/later/8?after=soon",
            f"{site.url}/status/404?retry after 9 s",
        ]
        rows = fetched(tmp_path, 0, urls)
        site.shutdown()
    assert [(row["status"], row["retry_after"]) for row in rows] == [
        ("http_429", 30),
        ("http_429", None),
        ("http_404", None),
    ]
    assert rows[0]["error"] == "http_429: Too Many Requests; retry after 30 s"


def test_a_shard_that_the_disk_does_not_take_is_not_there(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Site() as site:
        images = [{"image_id": f"{i:03d}", "url": f"{site.url}/good/{i}.jpg"} for i in range(40)]
        options = Images(fetch=True, size=256, allow_networks=["127.0.0.0/8"], threads=4)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                fetch_shard(str(tmp_path), 0, images, options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        site.shutdown()
    assert not list(tmp_path.glob("*.parquet"))
    remove_unnamed(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_sink_ends_a_shard():
    class Full:
        def write(self, _content):
            raise OSError("No space left on device")

    samples = SampleWriter(Full(), "jpg")
    with pytest.raises(OSError, match="No space"):
        samples.write(b"picture", "000", None, {"image_id": "a"})
    samples.write(None, "001", None, {"image_id": "b"})
    with pytest.raises(OSError, match="No space"):
        samples.close()
    assert set(samples.found) == {"b"}
