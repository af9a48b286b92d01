"""How commands read the samples that a model is used on: by workers, by several processes, and going on."""

import gc
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torch.utils.data import Dataset

from pipeline.errors import PipelineError
from pipeline.train import search
from pipeline.train.embedding import embed_shards
from pipeline.train.encoder import Encoder
from pipeline.train.images import decode
from pipeline.train.reading import in_workers
from pipeline.train.shards import ShardSet
from tests.images.files import encoded

from .conftest import ALONE, drawn, invoke, write_tar
from .runs import two_processes


class Who(Dataset):
    def __getitem__(self, item):
        return item, os.getpid()


def test_items_are_made_by_workers_in_order():
    found = list(in_workers(Who(), [[0, "a"], [1, "b"], [2, "c"], [3, "d"]], ALONE, 2))
    assert [item for item, _ in found] == [[0, "a"], [1, "b"], [2, "c"], [3, "d"]]
    assert len({who for _, who in found} - {os.getpid()}) == 2


def test_embedding_goes_on_with_the_tars_that_are_missing(model, shard_set, tmp_path):
    encoder, shards, seen = Encoder(model), ShardSet([str(shard_set)], tmp_path), []
    whole, encode = encoder.encode_images([decode(shards.sample(2, 7)[1])])[0], encoder.encode_pixels

    def fails_in_the_second(pixels):
        seen.append(len(pixels))
        if len(seen) == 2:
            raise OSError("killed")
        return encode(pixels)

    encoder.encode_pixels = fails_in_the_second
    arguments = (encoder, shards, tmp_path / "v", ALONE, lambda done: None, True, 0)
    with pytest.raises(PipelineError, match="killed"):
        list(embed_shards(*arguments))
    found = list(embed_shards(*arguments))
    assert seen == [20, 20, 20, 20]
    assert np.allclose(found[2].images[found[2].rows.tolist().index(7)], whole, atol=1e-5)
    assert found[0].texts.shape == (20, 32)
    other = Encoder(model, precision="bfloat16")
    assert other.fingerprint() != encoder.fingerprint()


def test_half_precision_is_close(model):
    images = [decode(drawn(colour, "circle")) for colour in ("red", "blue", "green")]
    whole, half = Encoder(model).encode_images(images), Encoder(model, precision="bfloat16").encode_images(images)
    assert half.dtype == np.float32
    assert not np.array_equal(whole, half)
    assert ((whole * half).sum(1) > 0.99).all()


def test_an_index_is_made_without_keeping_the_images(model, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.train.reading.CHUNK", 4)
    rng, members = np.random.default_rng(0), {}
    for number in range(40):
        noise = encoded(Image.fromarray(rng.integers(0, 256, (256, 256, 3), np.uint8)), "PNG")
        members |= {f"{number:02d}.png": noise, f"{number:02d}.txt": b"noise"}
    members |= {"again.png": members["00.png"], "again.txt": b"noise"}
    tar = write_tar(tmp_path / "set.tar", members)
    tracemalloc.start()
    out = invoke(search.app, "index", "--model", model, "--shards", tar, "--index", tmp_path / "index")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "40 images, 0 unreadable" in out.stdout
    assert np.load(tmp_path / "index" / "places.npy").shape == (40, 2)
    assert not (tmp_path / "index" / ".vectors").exists()
    assert most < tar.stat().st_size / 2  # 8 MB


@pytest.mark.slow
def test_two_processes_score_as_one(model, shard_set, tmp_path):
    for name, start in (("one", [sys.executable]), ("two", two_processes())):
        command = [*start, "-m", "pipeline.train.score", "--model", model, "--shards", shard_set]
        done = subprocess.run([*command, "--output", tmp_path / name], check=True, capture_output=True, text=True)
        assert "60 samples of 3 tar(s), 0 unreadable" in done.stdout + done.stderr
    for file in sorted((tmp_path / "one").glob("*.parquet")):
        one, two = (pq.read_table(tmp_path / name / file.name, partitioning=None) for name in ("one", "two"))
        assert one["key"].equals(two["key"])
        assert np.allclose(one["score"], two["score"], atol=1e-5)


def test_a_model_whose_tokenizer_knows_no_longest_text(model, tmp_path):
    """The fault: long texts had more tokens than the model has positions, and ended the command."""
    import json
    import shutil

    from pipeline.train.encoder import Encoder

    folder = shutil.copytree(model, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config.pop("model_max_length") == 77
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    texts = ["a red square", "a red square " * 200]
    assert (Encoder(folder).encode_texts(texts) == Encoder(model).encode_texts(texts)).all()


class Inherited:
    """Garbage of the main process, as a cycle, that a worker must not finalise."""

    def __init__(self):
        self.itself, self.process = self, os.getpid()

    def __del__(self):
        if os.getpid() != self.process:
            os.abort()


class Collecting(Dataset):
    """Items that collect garbage where they are made."""

    def __getitem__(self, item):
        gc.collect()
        return item


def test_workers_leave_alone_what_the_fork_brought_along():
    gc.disable()
    try:
        Inherited()
        assert list(in_workers(Collecting(), [1, 2, 3], ALONE, 2)) == [1, 2, 3]
    finally:
        gc.enable()
