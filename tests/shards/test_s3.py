"""Shards and tars in an object store: moto's S3 server on loopback, through the same functions as local files."""

import tarfile

import pyarrow.parquet as pq

from pipeline import storage
from pipeline.shards.content import image_loader, tar_content
from pipeline.shards.tar import write_shard
from pipeline.tars.index import samples_of, scan
from tests.e2e.test_tars import add
from tests.images.site import jpeg


def test_a_shard_is_written_from_a_tar_both_in_a_store(bucket, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for i in range(5):
            add(tar, f"{i}.jpg", jpeg(i))
            add(tar, f"{i}.json", b'{"uid": "u%d"}' % i)
    storage.write_bytes(f"{bucket}/tars/a.tar", (tmp_path / "a.tar").read_bytes())
    samples, refused = samples_of(f"{bucket}/tars/a.tar")
    assert samples["source_uid"].to_pylist() == [f"u{i}" for i in range(5)]
    assert not refused
    fields = {
        "url": "u",
        "text": "t",
        "language": "en",
        "entry_list": "en",
        "entries": [1],
        "keep_probability": 1.0,
        "draw": 0.5,
    }
    rows = [fields | row | {"pair_id": i, "tar": f"{bucket}/tars/a.tar"} for i, row in enumerate(samples.to_pylist())]
    for folder in (f"{bucket}/shards", str(tmp_path)):
        storage.make_folder(folder)
        line = write_shard(folder, 0, rows, image_loader(tar_content))
        assert line["samples"] == 5
    assert storage.names(f"{bucket}/shards") == ["00000.parquet", "00000.tar", "00000_stats.json"]
    for name in ("00000.tar", "00000.parquet"):
        assert storage.read_bytes(f"{bucket}/shards/{name}") == (tmp_path / name).read_bytes()
    assert scan(f"{bucket}/shards/00000.tar")["image_size"].to_pylist() == [len(jpeg(i)) for i in range(5)]
    index = pq.read_table(tmp_path / "00000.parquet")
    assert index["image_size"].to_pylist() == [len(jpeg(i)) for i in range(5)]
