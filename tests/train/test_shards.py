"""Reading shards by index, ours and others', and what is wrong with a set."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.tars.index import scan
from pipeline.train.files import LocalFile
from pipeline.train.loader import ShardDataset
from pipeline.train.sampler import Sampler
from pipeline.train.shards import ShardSet, check_unbalanced
from tests.odd_names import ODD_NAMES

from .conftest import drawn, write_tar


def contents(shards):
    return [shards.sample(shard, row)[:3] for shard, count in enumerate(shards.counts) for row in range(count)]


def test_a_scan_finds_what_our_index_says(shard_set, tmp_path):
    ours = ShardSet([str(shard_set)], tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    bare = tmp_path / "bare"
    bare.mkdir()
    for tar in shard_set.glob("*.tar"):
        shutil.copy(tar, bare)
    scanned = ShardSet([str(bare)], tmp_path / "cache")
    assert contents(ours) == contents(scanned)
    assert len(list((tmp_path / "cache").iterdir())) == 3
    whole = ours.samples([(0, 1)], with_json=True)
    assert whole == scanned.samples([(0, 1)], with_json=True)
    assert b'"language":"en"' in whole[0].json
    assert ours.probabilities(0).tolist() == [0.5] * 20


def test_other_tars(tmp_path):
    tar = write_tar(
        tmp_path / "other.tar",
        {
            "a/1.jpg": b"x", "a/1.txt": b"one", "a/1.seg.png": b"mask", "a/2.JPEG": b"yy", "a/2.txt": "zwei ü".encode(),
            "3.txt": b"no image", "4.png": b"no text", "1.webp": b"zzz", "1.txt": b"not a/1", "5.pyd": b"cos\nsystem\n",
        },
    )  # fmt: skip
    found = ShardSet([str(tar)], tmp_path / "cache")
    assert contents(found) == [("a/1", b"x", "one"), ("a/2", b"yy", "zwei ü"), ("1", b"zzz", "not a/1")]
    assert scan(str(tar))["key"].to_pylist() == ["a/1", "a/2", "4", "1"]


def test_tars_of_odd_names_and_patterns(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ODD_NAMES:
        (tmp_path / "in" / name).mkdir(parents=True)
        tar = write_tar(tmp_path / "in" / name / f"{name}.tar", {"a.jpg": name.encode(), "a.txt": b"t"})
        for base in (f"{tmp_path}/in", f"file://{tmp_path}/in", "in"):
            for path in (f"{base}/{name}", f"{base}/{name}/{name}.tar", f"{base}/{name}/*.tar"):
                found = ShardSet([path], tmp_path / "cache" / name)
                assert contents(found) == [("a", name.encode(), "t")], path
        assert len(list((tmp_path / "cache" / name).iterdir())) == 1
        assert tar.is_file()
        monkeypatch.chdir(tmp_path / "in")
        assert contents(ShardSet([f"./{name}"], Path(f"./{name}"))) == [("a", name.encode(), "t")]
        monkeypatch.chdir(tmp_path)
    assert len(ShardSet(["in/**/*.tar"], tmp_path / "all").tars) == len(ODD_NAMES)
    (tmp_path / "gone.tar").symlink_to("nowhere")
    for path in ("gone.tar", "g*.tar"):
        with pytest.raises(UsageError, match="gone.tar: a link to nowhere"):
            ShardSet([path], tmp_path / "cache")
    with pytest.raises(UsageError, match="no such file or folder"):
        ShardSet(["none/*.tar"], tmp_path / "cache")


def test_a_window_of_many_shards_stays_in_memory(tmp_path, monkeypatch):
    """Each index is read once, however many shards a window has; what is kept is bounded by rows."""
    for number in range(150):
        members = {f"{number}-{k}.{end}": b"x" for k in range(2) for end in ("jpg", "txt")}
        write_tar(tmp_path / f"{number:03d}.tar", members)
    shards, sampler = ShardSet([str(tmp_path)], tmp_path / "cache"), Sampler([2] * 150, 0, 150)
    read, ours = [], ShardSet._read_rows
    monkeypatch.setattr(ShardSet, "_read_rows", lambda self, shard: read.append(shard) or ours(self, shard))
    ShardDataset(shards, sampler, None, 8, (0.9, 1.0), False)
    for shard, row in sampler.samples(0, 300):
        shards.sample(shard, row)
    assert len(read) == 150
    shards = ShardSet([str(tmp_path)], tmp_path / "cache")
    shards.most_rows = 100
    for shard, row in sampler.samples(300, 600):
        shards.sample(shard, row)
        assert sum(len(keys) for keys, _ in shards._indexes.values()) <= 100
    assert len(read) > 250


def test_texts_are_read_without_images(tmp_path, monkeypatch):
    write_tar(
        tmp_path / "a.tar", {f"{k}.{end}": b"x" * size for k in range(9) for end, size in (("jpg", 50_000), ("txt", 9))}
    )
    shards, read, ours = ShardSet([str(tmp_path)], tmp_path / "cache"), [], LocalFile.read_at
    monkeypatch.setattr(LocalFile, "read_at", lambda self, size, at: read.append(size) or ours(self, size, at))
    assert list(shards.texts(5)) == ["x" * 9] * 5
    assert sum(read) == 45


def test_an_index_of_another_kind_is_not_taken(tmp_path):
    # img2dataset has a table beside each tar too, without offsets.
    tar = write_tar(tmp_path / "00000.tar", {"0.jpg": drawn("red", "cross"), "0.txt": b"red"})
    pq.write_table(scan(str(tar)).select(["key"]), tmp_path / "00000.parquet")
    assert ShardSet([str(tmp_path)], tmp_path / "cache").counts.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none", None, "none: no such file or folder"),
        ("set.tar.gz", b"", "set.tar.gz: not a whole tar: an empty file"),
        ("bad.tar", b"no tar at all" * 100, "not a whole tar"),
        ("empty.tar", b"\0" * 10240, "no samples with an image and a text"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((UsageError, PipelineError), match=message):
        ShardSet([str(tmp_path / name)], tmp_path / "cache")


@pytest.mark.parametrize("again", ["{set}/00000.tar", "{set}/../{name}/00001.tar", "{link}"])
def test_a_tar_that_is_given_twice(shard_set, tmp_path, again):
    """Its samples would be twice in a batch, and their own negatives."""
    (tmp_path / "link").symlink_to(shard_set)
    path = again.format(set=shard_set, name=shard_set.name, link=tmp_path / "link")
    with pytest.raises(UsageError, match="given twice"):
        ShardSet([str(shard_set), path], tmp_path / "cache")


def test_no_shards(tmp_path):
    with pytest.raises(UsageError, match="a folder without .tar files"):
        ShardSet([str(tmp_path)], tmp_path / "cache")
    with pytest.raises(UsageError, match="no shards are given"):
        ShardSet([], tmp_path / "cache")


def test_only_unbalanced_sets_are_balanced_online(shard_set, tmp_path):
    tar = str(shutil.copy(shard_set / "00000.tar", tmp_path))
    with pytest.raises(UsageError, match="shards without our manifest, which would be balanced twice"):
        check_unbalanced([tar])
    (tmp_path / "manifest.json").write_text('{"balance_mode": "sample"}')
    with pytest.raises(UsageError, match="found shards of balance.mode sample"):
        check_unbalanced([tar])
    (tmp_path / "manifest.json").write_text('{"balance_mode": "none"}')
    check_unbalanced([tar])
