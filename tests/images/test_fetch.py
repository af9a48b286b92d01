"""What came of a picture: words for errors, pictures of every kind, and a shard that accounts for all."""

import io
import resource

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("img2dataset")

from pipeline.images.fetch import IMAGES, fetch_shard, reason, remove_unnamed, retriable
from pipeline.images.writer import SampleWriter
from pipeline.recipe import Images

from .site import Site, jpeg


@pytest.mark.parametrize(
    ("error", "word", "again"),
    [
        ("HTTP Error 404: Not Found", "http_404", False),
        ("HTTP Error 503: Service Unavailable", "http_503", True),
        ("HTTP Error 429: Too Many Requests", "http_429", True),
        ("<urlopen error timed out>", "timeout", True),
        ("The read operation timed out", "timeout", True),
        ("<urlopen error [Errno -2] Name or service not known>", "dns", True),
        ("<urlopen error [Errno 111] Connection refused>", "connection", True),
        ("Remote end closed connection without response", "connection", True),
        ("<urlopen error <urlopen error refused_address>>", "refused_address", False),
        ("<urlopen error opted_out>", "opted_out", False),
        ("<urlopen error cut_short>", "cut_short", True),
        ("<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", "certificate", False),
        ("unknown url type: 'x'", "bad_url", False),
        ("something else", "failed", False),
    ],
)
def test_words_for_errors(error, word, again):
    assert reason("failed_to_download", error) == word
    assert retriable(word) is again


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
