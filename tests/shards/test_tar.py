"""A shard read back by webdataset, by its index, and written again."""

import hashlib
import json

import pyarrow.parquet as pq
import webdataset as wds

from pipeline.shards.content import image_loader, local_content
from pipeline.shards.tar import write_shard
from tests.pool import PREFIX, write_images


def rows(count):
    for i in range(count):
        yield {
            "pair_id": i - 2,
            "url": f"{PREFIX}{i:05d}.png",
            "text": f"text {i} 猫\n",
            "source_uid": None,
            "language": "en",
            "entry_list": "en",
            "entries": [1, i + 2],
            "keep_probability": 0.5,
            "draw": 0.25,
        }


def test_a_shard(tmp_path):
    root = write_images(tmp_path / "images", 40)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        line = write_shard(str(folder), 3, rows(40), image_loader(local_content(str(root), PREFIX)))
    assert line["samples"] == 38
    assert line["dropped"] == {"missing_image": 1, "unreadable_image": 1}
    files = sorted(file.name for file in folders[0].iterdir())
    assert files == ["00003.parquet", "00003.tar", "00003_stats.json"]
    for name in files:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()

    tar = (folders[0] / "00003.tar").read_bytes()
    assert (len(tar), hashlib.sha256(tar).hexdigest()) == (line["bytes"], line["sha256"])
    samples = list(wds.WebDataset([str(folders[0] / "00003.tar")], shardshuffle=False))
    index = pq.read_table(folders[0] / "00003.parquet").to_pylist()
    assert [s["__key__"] for s in samples] == [line["key"] for line in index]
    assert samples[0]["__key__"] == "fffffffffffffffe"
    for sample, line in zip(samples, index, strict=True):
        meta = json.loads(sample["json"])
        assert meta["uid"] == line["key"] == f"{line['pair_id'] % 2**64:016x}"
        assert meta["text"] == sample["txt"].decode()
        assert meta["sha256"] == line["sha256"] == hashlib.sha256(sample["png"]).hexdigest()
        assert {"uid", "source_uid", "url", "text", "language", "entries", "keep_probability", "draw", "sha256"} <= set(
            meta
        )
        for member, which in (("png", "image"), ("txt", "txt"), ("json", "json")):
            start = line[f"{which}_offset"]
            assert tar[start : start + line[f"{which}_size"]] == sample[member]
