"""Models of other libraries to start from: their vectors are the same here, or they are refused."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, CLIPImageProcessorPil, CLIPModel, SiglipImageProcessorPil, SiglipModel

from pipeline.errors import UsageError
from pipeline.train.architecture import new_config
from pipeline.train.encoder import Encoder
from pipeline.train.export import export
from pipeline.train.models import Towers, model_of
from pipeline.train.open_clip import app
from pipeline.train.start import prepare
from pipeline.train.state import initial_state
from pipeline.train.tokenizer import tokenize, tokenizer_config, train_tokenizer

from .conftest import ALONE, invoke
from .runs import outcome, same
from .test_init_from import unnamed
from .test_open_clip import WIDE
from .test_step import SIGLIP

TEXTS = ["a red square", "", "a blue circle " * 30]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a red square", "a blue circle"] * 20, 300, 24)


def spread(model):
    """Gives every weight a value of its own: with fresh ones biases are zero and gains one."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.numel() > 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def started(folder, shard_set, tmp_path, **changes):
    """The towers and the tokenizer of a run that starts from a folder and is told nothing of its model."""
    start = prepare(unnamed(shard_set, **changes), tmp_path / "run", ALONE, str(folder))
    return initial_state(start, ALONE).towers.eval(), start


def check_vectors(towers, start, want_images, want_texts, images):
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([np.asarray(image).transpose(2, 0, 1) for image in images]))
        found = towers(pixels, torch.from_numpy(tokenize(start.tokenizer, TEXTS)))
    for ours, theirs in zip(found[:2], (want_images, want_texts), strict=True):
        assert torch.allclose(ours, F.normalize(theirs, dim=-1), atol=1e-5)


IMAGES = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (32, 32, 3), np.uint8)) for n in range(3)]


@pytest.mark.parametrize(("kind", "eos"), [("clip", "its own"), ("clip", "the highest"), ("siglip", "its own")])
def test_a_model_of_transformers(recipe, shard_set, tmp_path, tokenizer, kind, eos):
    """Also the normalisation of its images and the padding of its texts are its own."""
    made, options = recipe(**(SIGLIP if kind == "siglip" else WIDE)), {"loss": {"name": kind}}
    config = new_config(made.model, tokenizer_config(tokenizer))
    if eos == "the highest":
        config.text_config.eos_token_id = 2
    model = spread({"clip": CLIPModel, "siglip": SiglipModel}[kind](config))
    model.save_pretrained(tmp_path / "given")
    tokenizer.save_pretrained(tmp_path / "given")
    square, normal = {"height": 32, "width": 32}, {"image_mean": [0.3, 0.5, 0.6], "image_std": [0.2, 0.5, 0.25]}
    if kind == "siglip":
        processor = SiglipImageProcessorPil(size=square, **normal)
    else:
        processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square, **normal)
    processor.save_pretrained(tmp_path / "given")
    towers, start = started(tmp_path / "given", shard_set, tmp_path, **options)
    pads = "max_length" if kind == "siglip" else True
    ids = tokenizer(TEXTS, padding=pads, truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack(processor(IMAGES, return_tensors="np")["pixel_values"]))
        images = model.get_image_features(pixel_values=pixels).pooler_output
        texts = model.get_text_features(input_ids=ids).pooler_output
    check_vectors(towers, start, images, texts, IMAGES)
    assert towers.scale().item() == pytest.approx(model.logit_scale.exp().item())
    if kind == "siglip":
        assert towers.logit_bias().item() == model.logit_bias.item()
        assert not hasattr(towers, "bias") or towers.bias is None
    # So it is exported, and used.
    export(towers, start.tokenizer, start.recipe.model, {}, tmp_path / "model")
    encoder = Encoder(tmp_path / "model")
    assert np.allclose(encoder.encode_images(IMAGES), F.normalize(images, dim=-1), atol=1e-4)
    assert np.allclose(encoder.encode_texts(TEXTS), F.normalize(texts, dim=-1), atol=1e-5)


@pytest.fixture
def open_clip_folder(recipe, tmp_path, tokenizer):
    """A folder of our own export to open_clip's format, the model, and its tokenizer."""

    def make(bias=None, eos=None, **changes):
        made = recipe(**WIDE | {"model__mean": "[0.3, 0.5, 0.6]", "model__std": "[0.2, 0.5, 0.25]"} | changes)
        config = new_config(made.model, tokenizer_config(tokenizer))
        config.text_config.hidden_act = config.vision_config.hidden_act
        if eos is not None:
            config.text_config.eos_token_id = eos
        towers = Towers(spread(model_of(config)), siglip=bias is not None, options=made.model)
        if bias is not None:
            torch.nn.init.constant_(towers.bias, bias)
        export(towers, tokenizer, made.model, {}, tmp_path / "model")
        invoke(app, "--model", tmp_path / "model", "--output", tmp_path / "open")
        return tmp_path / "open", towers.eval()

    return make


@pytest.mark.parametrize(
    "weights", ["safetensors", *(pytest.param(w, marks=pytest.mark.slow) for w in ("bin", "a training's"))]
)
@pytest.mark.parametrize(("bias", "eos"), [(None, None), (-3.5, 2)])
def test_a_model_of_open_clip(open_clip_folder, shard_set, tmp_path, weights, bias, eos):
    folder, given = open_clip_folder(bias, eos)
    said = json.loads((folder / "open_clip_config.json").read_text())
    assert said["model_cfg"]["text_cfg"]["pool_type"] == ("eos" if eos is None else "argmax")
    assert said["preprocess_cfg"]["mean"] == [0.3, 0.5, 0.6]
    if weights != "safetensors":
        found = load_file(folder / "open_clip_model.safetensors")
        (folder / "open_clip_model.safetensors").unlink()
        if weights != "bin":
            found = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in found.items()}}
        torch.save(found, folder / "open_clip_pytorch_model.bin")
    loss = {"loss": {"name": "siglip" if bias else "clip"}}
    towers, start = started(folder, shard_set, tmp_path, **loss)
    ids = torch.from_numpy(tokenize(start.tokenizer, TEXTS))
    pixels = torch.from_numpy(np.stack([np.asarray(image).transpose(2, 0, 1) for image in IMAGES]))
    with torch.no_grad():
        for ours, theirs in zip(towers(pixels, ids), given(pixels, ids), strict=True):
            assert ours is theirs is None or torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_cfg": {"vision_cfg": {"timm_model_name": "vit"}}},
            "vision_cfg.timm_model_name: found 'vit'; only open_clip's own",
        ),
        ({"model_cfg": {"text_cfg": {"hf_model_name": "x"}}}, "text_cfg.hf_model_name: found 'x'"),
        ({"model_cfg": {"text_cfg": {"no_causal_mask": True}}}, "text_cfg.no_causal_mask: found True"),
        ({"model_cfg": {"text_cfg": {"pool_type": "last"}}}, "text_cfg.pool_type: found 'last'; argmax and eos"),
        ({"model_cfg": {"nonscalar_logit_scale": True}}, "nonscalar_logit_scale: found True"),
        ({"model_cfg": {"vision_cfg": {"layers": 3}}}, "has no visual.transformer.resblocks.2"),
        ({"model_cfg": {"vision_cfg": {"patch_size": 4}}}, "visual.* is of another size than open_clip_config.json"),
        ({"model_cfg": None}, "open_clip_config.json is not a model's"),
        ("no weights", "none of open_clip_model.safetensors, .* is there"),
        ("damaged weights", "open_clip_model.safetensors: cannot be read"),
        ("no tokenizer", "--init-from .*"),
    ],
    ids=str,
)
def test_what_cannot_be_read_of_open_clip(open_clip_folder, shard_set, tmp_path, change, message):
    folder, _ = open_clip_folder()
    file = folder / "open_clip_config.json"
    if isinstance(change, dict):
        said = json.loads(file.read_text())
        merge(said, change)
        file.write_text(json.dumps(said))
    elif change == "no weights":
        (folder / "open_clip_model.safetensors").unlink()
    elif change == "damaged weights":
        (folder / "open_clip_model.safetensors").write_bytes(b"\1" * 100)
    else:
        for path in folder.iterdir():
            if "clip" not in path.name:
                path.unlink()
    with pytest.raises(UsageError, match=message) as error:
        started(folder, shard_set, tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def merge(values, change):
    for key, value in change.items():
        if isinstance(value, dict):
            merge(values[key], value)
        else:
            values[key] = value


def test_a_model_without_a_tokenizer_takes_the_recipes(open_clip_folder, shard_set, tmp_path, tokenizer):
    folder, given = open_clip_folder()
    (tmp_path / "tokenizer").mkdir()
    for path in list(folder.iterdir()):
        if "clip" not in path.name:
            path.unlink()
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    towers, start = started(folder, shard_set, tmp_path, tokenizer={"path": str(tmp_path / "tokenizer")})
    assert start.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert torch.equal(towers.model.state_dict()["logit_scale"], given.model.state_dict()["logit_scale"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [0.1, 0.1, 0.1]}, r"model.mean: found \(0.1, 0.1, 0.1\), --init-from .* has \(0.3, 0.5, 0.6\)"),
        ({"kind": "siglip"}, "model.kind: found 'siglip', .* has 'clip'"),
    ],
)
def test_what_the_recipe_says_must_be_so(open_clip_folder, shard_set, tmp_path, changes, message):
    folder, _ = open_clip_folder()
    with pytest.raises(UsageError, match=message):
        started(folder, shard_set, tmp_path, model=changes, loss={"name": "siglip"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": {"hidden_act": "gelu"}}, "its towers have hidden_act quick_gelu and gelu; allowed here"),
        ({"text": {"layer_norm_eps": 0.1}}, "found layer_norm_eps 0.1; allowed here: 1e-05"),
        (
            {"vision": {"hidden_act": "relu"}, "text": {"hidden_act": "relu"}},
            "its towers have hidden_act relu and relu",
        ),
    ],
)
def test_what_open_clip_cannot_hold(recipe, tokenizer, changes, message):
    """The fault: it was written all the same, and gave other vectors there."""
    from pipeline.train.open_clip_model import open_clip_config

    config = new_config(recipe(**WIDE).model, tokenizer_config(tokenizer))
    for side, values in changes.items():
        for key, value in values.items():
            setattr(getattr(config, f"{side}_config"), key, value)
    with pytest.raises(UsageError, match=message):
        open_clip_config(model_of(config), "x", {})


@pytest.mark.slow
def test_a_siglip_run_goes_on_and_is_exported(recipe, train, tmp_path):
    made = recipe(**SIGLIP, tokenizer__length=20, patch_dropout=0.25, ema__decay=0.5)
    train(made, tmp_path / "whole", log_samples=True)
    for _ in range(2):
        train(made, tmp_path / "parts", log_samples=True, stop_after=2)
    same(outcome(tmp_path / "parts"), outcome(tmp_path / "whole"))
    model = AutoModel.from_pretrained(tmp_path / "whole" / "model")
    facts = json.loads((tmp_path / "whole" / "model" / "training.json").read_text())
    assert isinstance(model, SiglipModel)
    assert facts["logit_bias"] == pytest.approx(model.logit_bias.item())
    shutil.copytree(tmp_path / "whole" / "model", tmp_path / "given")
    towers, start = started(tmp_path / "given", made.data.shards[0], tmp_path, loss={"name": "siglip"})
    assert torch.equal(towers.model.logit_bias, model.logit_bias)
    assert start.tokenizer.model_max_length == 20


def test_a_siglip_model_of_two_sizes_is_refused(recipe, train, tmp_path):
    with pytest.raises(UsageError, match="model.projection: found 32; this image tower gives vectors of 64"):
        train(recipe(**SIGLIP | {"model__projection": 32}), tmp_path / "run")


def test_weights_saved_by_another_library_are_read_as_they_are(open_clip_folder, shard_set, tmp_path):
    """As of a text tower that is a module of its own (CustomTextCLIP)."""
    folder, given = open_clip_folder()
    found = load_file(folder / "open_clip_model.safetensors")
    texts = ("token_embedding", "positional_embedding", "ln_final", "text_projection", "transformer")
    save_file(
        {f"text.{n}" if n.startswith(texts) else n: t for n, t in found.items()}, folder / "open_clip_model.safetensors"
    )
    towers, _ = started(folder, shard_set, tmp_path)
    for name, value in given.model.state_dict().items():
        assert torch.equal(towers.model.state_dict()[name], value)
