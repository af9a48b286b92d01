"""What was taken out does not come back by the fetch: neither a URL that is not asked for, nor an image of such bytes."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.images.fetch import fetch_shard, retriable
from pipeline.recipe import Images
from pipeline.tars.index import scan
from pipeline.tombstones.table import Salt, Stored, add
from pipeline.tombstones.values import image_ids

from .site import Site, jpeg

pytest.importorskip("img2dataset")


def test_an_image_that_was_taken_out_is_not_kept(tmp_path):
    with Site() as site:
        urls = [f"{site.url}/good/{n}.jpg" for n in range(5)]
        ids = image_ids(pa.array(urls)).to_pylist()
        images = [{"image_id": image, "url": url} for image, url in zip(ids, urls, strict=True)]
        options = Images(fetch=True, size=32, allow_networks=["127.0.0.0/8"])
        (tmp_path / "before").mkdir()
        fetch_shard(str(tmp_path / "before"), 0, images[2:3], options)
        [kept] = pq.read_table(tmp_path / "before/000000.parquet").to_pylist()
        tar = (tmp_path / "before" / kept["shard"]).read_bytes()
        as_kept = hashlib.sha256(tar[kept["image_offset"] : kept["image_offset"] + kept["image_size"]]).hexdigest()
        assert as_kept != kept["sha256"] == hashlib.sha256(jpeg(2)).hexdigest()

        salt = Salt.of(str(tmp_path))
        add(str(tmp_path), pa.concat_tables([
            salt.made("url", pa.array([urls[0]]), 0), salt.made("image_id", pa.array([ids[1]]), 0),
            salt.made("sha256", pa.array([as_kept, hashlib.sha256(jpeg(3)).hexdigest()]), 0)]), salt)  # fmt: skip
        (tmp_path / "after").mkdir()
        fetch_shard(str(tmp_path / "after"), 0, images, options, removed=Stored.of(str(tmp_path)))
        site.shutdown()
    rows = pq.read_table(tmp_path / "after/000000.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["removed"] * 4 + ["success"]
    assert all(row["sha256"] is row["shard"] is row["width"] is None for row in rows[:4])
    assert site.asked["/good/0.jpg"] == site.asked["/good/1.jpg"] == 0
    assert scan(str(tmp_path / "after" / rows[4]["shard"])).num_rows == 1
    assert not retriable("removed")
