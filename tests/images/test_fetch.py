"""What came of an image: words for errors, images of every kind, and a shard that accounts for all."""

import io
import resource
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("img2dataset")

from pipeline.images.addresses import Refused
from pipeline.images.fetch import IMAGES, fetch_shard, next_number, reason, remove_unnamed, retriable
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
    words = ["not an image", "too many pixels", "animated", "image too small", "aspect ratio too large", "(-215) cv"]
    assert [reason("failed_to_resize", word) for word in words] == [
        "unreadable_image", "too_many_pixels", "animated", "too_small", "aspect_too_large", "unreadable_image",
    ]  # fmt: skip


def test_a_shard_accounts_for_all_and_leaves_no_rest(tmp_path):
    with Site() as site:
        urls = [f"{site.url}/good/{i}.jpg" for i in range(5)] + [f"{site.url}/status/404", "file:///etc/passwd"]
        images = [{"image_id": f"{i:03d}", "url": url} for i, url in enumerate(urls)]
        options = Images(fetch=True, size=32, allow_networks=["127.0.0.0/8"], threads=4)
        fetch_shard(str(tmp_path), 3, images, options)
        first = {file.name for file in tmp_path.glob("*.tar")}
        fetch_shard(str(tmp_path), 3, images, options)  # As a task that comes second: the first stays.
        site.shutdown()
    table = pq.read_table(tmp_path / "000003.parquet")
    assert table.schema.equals(IMAGES)
    rows = table.to_pylist()
    assert [row["image_id"] for row in rows] == [image["image_id"] for image in images]
    assert [row["status"] for row in rows] == ["success"] * 5 + ["http_404", "refused_scheme"]
    (tar,) = tmp_path.glob("*.tar")
    assert {tar.name} == {row["shard"] for row in rows if row["shard"]} == first
    remove_unnamed(str(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {tar.name, "000003.parquet"}
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
    """The run goes on with what the first try said, while a second one of another time is still at it."""
    with Site() as site:
        (first,) = fetched(tmp_path, 0, [f"{site.url}/good/1.jpg"])
        table = (tmp_path / "000000.parquet").read_bytes()
        assert fetched(tmp_path, 0, [f"{site.url}/good/1.jpg"]) == [first]
        assert (tmp_path / "000000.parquet").read_bytes() == table
        (second,) = fetched(tmp_path, 1, [f"{site.url}/good/1.jpg"])
        (tmp_path / "000001.parquet").rename(tmp_path / "000000.parquet")  # as a store without links may have it
        (tmp_path / "000000-0badbeef.tar").write_bytes(b"of a task that was killed")
        (tmp_path / "000001-0badbeef.tar.part").write_bytes(b"of a task that was killed")
        site.shutdown()
    remove_unnamed(str(tmp_path), [first["shard"]])
    assert {file.name for file in tmp_path.glob("*.tar*")} == {first["shard"], second["shard"]}
    assert next_number(str(tmp_path)) == 2
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
        samples.write(b"image", "000", None, {"image_id": "a"})
    samples.write(None, "001", None, {"image_id": "b"})
    with pytest.raises(OSError, match="No space"):
        samples.close()
    assert set(samples.found) == {"b"}
