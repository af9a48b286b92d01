"""A small set of real shards, and recipes of small models over it."""

import io
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from pipeline.shards.content import image_loader, local_content
from pipeline.shards.tar import JSON_FIELDS, write_shard
from pipeline.train.distributed import ProcessGroup

ALONE = ProcessGroup(0, 1, 1, torch.device("cpu"))
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "black", "white", "gray", "pink"]
SHAPES = ["square", "circle", "cross"]
SMALL = {
    "model.image_size": "32",
    "model.projection": "32",
    "model.vision": "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 2, patch_size: 8}",
    "model.text": "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 2}",
    "tokenizer.vocabulary": "400",
    "batch": "16",
    "steps": "4",
    "optimizer.warmup": "2",
    "log.every": "1",
    "log.checkpoint": "1",
    "data.workers": "0",
    "data.shuffle_shards": "2",
}


def drawn(colour: str, shape: str, size: tuple[int, int] = (40, 32)) -> bytes:
    image = Image.new("RGB", size, "lightblue")
    draw, box = ImageDraw.Draw(image), (8, 6, 30, 26)
    if shape == "square":
        draw.rectangle(box, colour)
    elif shape == "circle":
        draw.ellipse(box, colour)
    else:
        draw.line((8, 6, 30, 26), colour, 5)
        draw.line((8, 26, 30, 6), colour, 5)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def write_set(folder: Path, shards: int = 3, samples: int = 20, probability: float = 0.5) -> Path:
    """Shards of our own writer."""
    images = folder / "images"
    images.mkdir(parents=True)
    number = 0
    for shard in range(shards):
        rows = []
        for _ in range(samples):
            colour, shape = COLOURS[number % 10], SHAPES[number // 10 % 3]
            (images / f"{number}.png").write_bytes(drawn(colour, shape))
            fields = dict.fromkeys(JSON_FIELDS) | {"language": "en" if number % 2 else "de"}
            text = f"a {colour} {shape} number {number}"
            rows.append(
                fields | {"pair_id": number, "url": f"p://{number}.png", "text": text, "keep_probability": probability}
            )
            number += 1
        target = folder / "shards"
        target.mkdir(exist_ok=True)
        write_shard(str(target), shard, rows, image_loader(local_content(str(images), "p://")))
    return folder / "shards"


def write_tar(file: Path, members: dict[str, bytes]) -> Path:
    """Any tar."""
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


@pytest.fixture(scope="session")
def shard_set(tmp_path_factory) -> Path:
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def recipe(shard_set):
    from pipeline.train.recipe import load_train_recipe

    def make(**changes):
        settings = SMALL | {"data.shards": f'["{shard_set}"]'}
        settings |= {key.replace("__", "."): str(value) for key, value in changes.items()}
        return load_train_recipe("nano", [f"{key}={value}" for key, value in settings.items()])

    return make


@pytest.fixture
def train():
    import torch

    from pipeline.train import loop
    from pipeline.train.distributed import ProcessGroup

    alone = ProcessGroup(0, 1, 1, torch.device("cpu"))
    return lambda recipe, folder, **options: loop.train(recipe, folder, alone, **options)


@pytest.fixture(scope="session")
def model(tmp_path_factory, shard_set):
    """The folder of a model that knows the colours and shapes of ``shard_set``."""
    import torch

    from pipeline.train.distributed import ProcessGroup
    from pipeline.train.loop import train
    from pipeline.train.recipe import load_train_recipe

    settings = SMALL | {"steps": "150", "batch": "20", "optimizer.warmup": "10", "optimizer.lr": "0.003", "log.every": "50",
                        "log.checkpoint": "150"}  # fmt: skip
    recipe = load_train_recipe("nano", [f"{key}={value}" for key, value in settings.items()], [str(shard_set)])
    folder = tmp_path_factory.mktemp("run")
    train(recipe, folder, ProcessGroup(0, 1, 1, torch.device("cpu")))
    return folder / "model"


def invoke(app, *arguments):
    """Runs a command that is to succeed."""
    found = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert found.exit_code == 0
    return found
