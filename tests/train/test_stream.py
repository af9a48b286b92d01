"""Shards that can only be streamed: compressed, and over HTTP from a server on this machine."""

import gzip
import http.server
import threading

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.train import stream
from pipeline.train.given import is_stream
from pipeline.train.loader import batches
from pipeline.train.stream import ShardStream, StreamDataset
from pipeline.train.tokenizer import train_tokenizer

from .conftest import drawn, write_tar


@pytest.fixture
def compressed(tmp_path, shard_set):
    found = []
    for tar in sorted(shard_set.glob("*.tar")):
        found.append(tmp_path / f"{tar.name}.gz")
        found[-1].write_bytes(gzip.compress(tar.read_bytes()))
    return found


def test_what_is_a_stream():
    assert all(map(is_stream, ["a.tar.gz", "a.tgz", "https://x.test/a.tar.gz?k=1", "pipe:cat a.tar"]))
    assert not any(map(is_stream, ["a.tar", "folder", "https://x.test/a.tar", "s3://bucket/a.tar?region=eu"]))


@pytest.mark.slow
def test_compressed_tars_train(recipe, train, tmp_path, compressed):
    made = recipe(data__shards="[" + ", ".join(f'"{file}"' for file in compressed) + "]", data__workers=2)
    last = train(made, tmp_path / "run", log_samples=True)
    assert last["step"] == 4
    assert (tmp_path / "run" / "model").is_dir()
    assert all(line.count("0000") >= 16 for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines())
    with pytest.raises(UsageError, match="shards without our manifest"):
        train(recipe(data__shards=f'["{compressed[0]}"]', data__online_balancing="true"), tmp_path / "other")


@pytest.mark.parametrize("workers", [0, 2])
def test_no_key_is_twice_in_a_batch_of_streams(recipe, compressed, shard_set, workers):
    """The fault: shards were drawn with replacement, and all workers read all of them."""
    source = ShardStream([str(file) for file in compressed])
    tokenizer = train_tokenizer(["a red square"] * 9, 300, 24)
    made = recipe(batch=20)
    found = batches(StreamDataset(source, made, tokenizer, 0, 0, 1), 0, 9, 20, 0, 1, workers)
    for _, batch in zip(range(12), found, strict=False):
        assert len(set(batch.keys)) == 20
    with pytest.raises(UsageError, match="3 to stream for 4 processes"):
        StreamDataset(source, made, tokenizer, 0, 0, 4)


def test_a_stream_without_what_is_needed_ends_with_one_line(recipe, tmp_path, monkeypatch):
    """The fault: it went round for ever."""
    tar = write_tar(tmp_path / "a.tar", {f"{n}.png": drawn("red", "cross") for n in range(200)})
    with pytest.raises(PipelineError, match="a.tar.*: no sample with an image and a text .* found 200 .png"):
        next(ShardStream([f"pipe:cat {tar}"]).samples(0))
    monkeypatch.setattr(stream, "MOST_UNUSABLE", 50)
    tar = write_tar(tmp_path / "b.tar", {"1.png": drawn("red", "cross"), "1.txt": b"x"})
    dataset = StreamDataset(ShardStream([f"pipe:cat {tar}"]), recipe(), train_tokenizer(["a"], 300, 24), 0, 0, 1)
    with pytest.raises(PipelineError, match="in the batch already; too few to stream for a batch of 16"):
        next(iter(dataset))


def test_over_http(tmp_path, shard_set):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(shard_set))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/00000.tar"
        stream = ShardStream([url]).samples(0)
        found = [next(stream) for _ in range(60)]
        server.shutdown()
    assert len({sample.key for sample in found}) == 20
    assert all(sample.text.startswith("a ") and sample.image[:4] == b"\x89PNG" for sample in found)


def test_seeds_differ_and_repeat(compressed):
    def first(*seed):
        stream = ShardStream([str(file) for file in compressed]).samples(*seed)
        return [next(stream).key for _ in range(30)]

    assert first(1, 2) == first(1, 2)
    assert first(1, 2) != first(1, 3)


def test_a_broken_stream_is_said(tmp_path):
    whole = gzip.compress(write_tar(tmp_path / "a.tar", {"1.png": drawn("red", "cross"), "1.txt": b"x"}).read_bytes())
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PipelineError, match="cut.tar.gz"):
        next(ShardStream([str(tmp_path / "cut.tar.gz")]).samples(0))
