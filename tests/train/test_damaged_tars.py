"""Tars that are cut, lie, go or change: named, their whole samples used, and counted."""

import io
import os
import tarfile
from itertools import islice

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.tars.index import scan
from pipeline.train.reading import SampleDataset
from pipeline.train.shards import MOST_TEXT, ShardSet
from pipeline.train.stream import ShardStream, _in_passes

from .conftest import write_tar
from .packed import PACKS, every, packed, short_waits  # noqa: F401
from .runs import lines


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.35, 0.8, 0.999])
def test_a_truncated_tar_is_named_and_its_whole_samples_are_read(shard_set, tmp_path, kind, share):
    packed(shard_set, tmp_path / "in", kind)
    cut = tmp_path / "in" / f"00001.{kind}"
    content = (shard_set / "00001.tar").read_bytes()
    with tarfile.open(shard_set / "00001.tar") as tar:
        end = tar.getmembers()[-1]
    content = content[: int((end.offset_data + end.size) * share)]
    cut.write_bytes(PACKS[kind](content))
    if kind == "tar.gz":
        cut.write_bytes(cut.read_bytes()[:-9])  # in its last block and checksum
    with tarfile.open(shard_set / "00001.tar") as tar:
        held = {info.name for info in tar if info.offset_data + info.size <= len(content)}
    keys = {name.split(".")[0] for name in held}
    expected = {key for key in keys if {f"{key}.png", f"{key}.txt"} <= held}
    found = ShardSet([str(tmp_path / "in")], tmp_path / "cache")
    (line,) = found.damaged()
    assert line.startswith(f"{cut}: damaged: ")
    got = set(found.keys(1).to_pylist())
    assert got <= expected
    assert len(got) >= len(expected) - (0 if kind == "tar" else 3)  # gzip keeps some kilobytes back
    assert line.endswith(f"its {len(got)} whole samples are used")
    assert all(sample.error is None for samples in every(found) for sample in samples)
    streamed = list(islice(_in_passes(ShardStream([str(tmp_path / "in")]).tars, 0), 40 + len(got) + 1))
    assert {one.key for one in streamed if one.tar == str(cut) and one.key} == got
    assert {one.tar for one in streamed if one.damage} == {str(cut)}
    # What is damaged is known when it is opened again.
    assert ShardSet([str(tmp_path / "in")], tmp_path / "cache").damaged() == [line]


def test_an_index_of_ours_that_goes_on_after_its_tar(shard_set, tmp_path):
    for file in shard_set.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    os.truncate(tmp_path / "00002.tar", 20_000)
    found = ShardSet([str(tmp_path)], tmp_path / "cache")
    assert found.counts[:2].tolist() == [20, 20]
    assert 0 < found.counts[2] < 20
    assert "00002.tar: damaged: cut at byte 20,000 of 60,950" in found.damaged()[0]
    assert all(sample.error is None for samples in every(found) for sample in samples)


@pytest.mark.parametrize("change", ["header", "garbage", "size", "long name"])
def test_headers_that_lie(tmp_path, change):
    """A header in the middle that is none ended a tar in silence, as it does in tarfile's own reading."""
    tar = tmp_path / "a.tar"
    members = {f"{n}.{end}": b"%d" % n * 600 for n in range(9) for end in ("jpg", "txt")}
    if change == "long name":
        members = {"d" * 120 + name: content for name, content in members.items()}
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    content = bytearray(tar.read_bytes())
    with tarfile.open(tar) as opened:
        at = opened.getmembers()[8].offset_data - 512
    if change == "size":  # of a file larger than the tar
        content[at + 124 : at + 135] = b"77777777777"
        content[at + 148 : at + 156] = b" " * 8
        content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    else:
        content[at : at + 512] = b"x" * 512
    tar.write_bytes(content)
    found = ShardSet([str(tar)], tmp_path / "cache")
    assert found.counts.tolist() == [4]
    assert len(found.damaged()) == 1
    with pytest.raises(PipelineError, match="a.tar: not a whole tar"):
        scan(str(tar))
    first = list(islice(_in_passes([str(tar)], 0), 5))
    assert len({one.key for one in first if one.key}) == 4
    assert sum(one.damage is not None for one in first) == 1


def test_a_text_that_is_none(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {"1.jpg": b"x", "1.txt": b"y" * (MOST_TEXT + 1), "2.jpg": b"x", "2.txt": b"y"})
    long, good = ShardSet([str(tar)], tmp_path / "cache").samples([(0, 0), (0, 1)])
    assert "a text of 1,048,577 bytes" in str(long.error)
    assert good.error is None


def test_commands_end_with_the_tar_that_went_or_changed(shard_set, tmp_path, model):
    from pipeline.train.encoder import Encoder

    packed(shard_set, tmp_path / "in", "tar")
    inputs = Encoder(model).inputs
    for number, change in enumerate((lambda tar: tar.unlink(), lambda tar: os.truncate(tar, 9000))):
        shards = ShardSet([str(tmp_path / "in")], tmp_path / "cache")
        tar = tmp_path / "in" / f"0000{number}.tar"
        change(tar)
        with pytest.raises(PipelineError, match=f"--shards {tar}: .*: .*(No such file|has changed)"):
            SampleDataset(shards, inputs)[number, 0, 5]
        packed(shard_set, tmp_path / "in", "tar")


@pytest.mark.parametrize("change", ["gone", "other", "short"])
def test_a_shard_that_goes_or_changes_while_it_is_trained_on(shard_set, recipe, tmp_path, change):
    """Its samples are broken ones, named, whose slots others fill."""
    from pipeline.train.loader import ShardDataset
    from pipeline.train.sampler import Sampler
    from pipeline.train.tokenizer import train_tokenizer

    packed(shard_set, tmp_path / "in", "tar")
    shards, tar = ShardSet([str(tmp_path / "in")], tmp_path / "cache"), tmp_path / "in" / "00001.tar"
    tokenizer = train_tokenizer(["a red square"] * 9, 300, 24)
    dataset = ShardDataset(shards, Sampler(shards.counts, 0, 3, batch=10), tokenizer, 8, (0.9, 1.0), False)
    before = dataset[0, 10]
    if change == "gone":
        tar.unlink()
        dataset.shards._make_caches()  # what is open goes on being read
    elif change == "other":
        os.utime(tar, (0, 0))
        dataset.shards._make_caches()
    else:
        os.truncate(tar, 5000)
    after = dataset[0, 10]
    assert not before.broken
    assert len(set(after.keys)) == 10
    assert {where for where, _, _ in after.broken} == {str(tar)}
    said = {"gone": "No such file", "other": "has changed", "short": "ends after"}[change]
    assert any(said in why for _, _, why in after.broken)


@pytest.mark.slow
def test_damaged_tars_count_and_too_many_are_refused(shard_set, recipe, train, tmp_path, capsys):
    packed(shard_set, tmp_path / "in", "tar")
    os.truncate(tmp_path / "in" / "00001.tar", 20_000)
    shards = f'["{tmp_path}/in"]'
    last = train(recipe(data__shards=shards, steps=2), tmp_path / "run")
    assert last["broken"] == 1
    (line,) = lines(tmp_path / "run" / "broken.jsonl")
    assert line["tar"] == str(tmp_path / "in" / "00001.tar")
    assert "damaged: " in line["why"]
    assert "00001.tar: damaged: " in capsys.readouterr().out
    assert train(recipe(data__shards=shards, steps=4), tmp_path / "run")["broken"] == 1
    assert len(lines(tmp_path / "run" / "broken.jsonl")) == 1
    os.truncate(tmp_path / "in" / "00002.tar", 20_000)
    with pytest.raises(
        UsageError, match="2 of 3 tars are damaged, data.max_broken allows 1.0%; the first is .*00001.tar"
    ):
        train(recipe(data__shards=shards), tmp_path / "other")
    assert not (tmp_path / "other" / "run.json").exists()
    assert train(recipe(data__shards=shards, data__max_broken=0.7, steps=1), tmp_path / "other")["broken"] == 2


def test_shards_without_text_say_what_they_hold(tmp_path):
    tar = write_tar(tmp_path / "a.tar", {f"{n}.{end}": b"x" for n in range(5) for end in ("jpg", "json")})
    with pytest.raises(UsageError, match=r"a.tar: found 5 .jpg, 5 .json; 1 tar\(s\) have no samples with an image"):
        ShardSet([str(tar)], tmp_path / "cache")
    for path in (str(tar), f"pipe:cat {tar}"):
        with pytest.raises(PipelineError, match="a.tar: no sample with an image .* found 5 .jpg, 5 .json"):
            next(ShardStream([path]).samples(0))
