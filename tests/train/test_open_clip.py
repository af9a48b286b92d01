"""The export to open_clip's format: complete, and equal in open_clip where it is installed."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPModel
from typer.testing import CliRunner

from pipeline.errors import UsageError
from pipeline.train.export import export
from pipeline.train.models import TokenizerConfig, Towers, build_model
from pipeline.train.open_clip import app
from pipeline.train.open_clip_model import open_clip_config, open_clip_weights
from pipeline.train.tokenizer import tokenizer_config, train_tokenizer

from .test_step import ALIGN, TOKENS

WIDE = {
    "model__vision": "{hidden_size: 128, intermediate_size: 256, num_hidden_layers: 2, num_attention_heads: 2, patch_size: 8}"
}


def test_every_weight_has_its_place(recipe):
    model = build_model(recipe(**WIDE).model, TOKENS)
    found = open_clip_weights(model)
    assert sum(t.numel() for t in found.values()) == sum(p.numel() for p in model.parameters())
    assert found["visual.proj"].shape == (128, 32)
    assert found["visual.positional_embedding"].shape == (17, 128)
    q = model.vision_model.encoder.layers[1].self_attn.q_proj.weight
    assert torch.equal(found["visual.transformer.resblocks.1.attn.in_proj_weight"][:128], q)


def test_siglips_bias_goes_along(recipe, tmp_path):
    """The fault: it was left out, and open_clip's logits were off by it."""
    tokenizer = train_tokenizer(["a red square"] * 20, 300, 24)
    towers = Towers(build_model(recipe(**WIDE).model, tokenizer_config(tokenizer), True), siglip=True)
    torch.nn.init.constant_(towers.bias, -3.5)
    export(towers, tokenizer, recipe().model, {}, tmp_path / "model")
    done = CliRunner().invoke(app, ["--model", str(tmp_path / "model"), "--output", str(tmp_path / "open")])
    assert done.exit_code == 0, done.exception
    assert load_file(tmp_path / "open" / "open_clip_model.safetensors")["logit_bias"].item() == -3.5
    assert json.loads((tmp_path / "open" / "open_clip_config.json").read_text())["model_cfg"]["init_logit_bias"] == -3.5


def test_what_it_cannot_hold(recipe):
    with pytest.raises(UsageError, match="heads are 32 wide; allowed here: 64"):
        open_clip_config(build_model(recipe().model, TOKENS), "x", {})
    with pytest.raises(UsageError, match="an ALIGN model"):
        open_clip_config(build_model(recipe(**ALIGN).model, TOKENS), "x", {})


def test_open_clip_gives_equal_logits(recipe, tmp_path):
    open_clip = pytest.importorskip("open_clip", exc_type=ImportError)
    tokenizer = train_tokenizer(["a red square", "a blue circle"] * 20, 300, 24)
    tokens = tokenizer_config(tokenizer)
    assert isinstance(tokens, TokenizerConfig)
    model: CLIPModel = build_model(recipe(**WIDE).model, tokens).eval()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    done = CliRunner().invoke(app, ["--model", str(tmp_path / "model"), "--output", str(tmp_path / "open")])
    assert done.exit_code == 0
    config = json.loads((tmp_path / "open" / "open_clip_config.json").read_text())["model_cfg"]
    theirs = open_clip.model.CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"], config["quick_gelu"])
    theirs.load_state_dict(load_file(tmp_path / "open" / "open_clip_model.safetensors"))
    ids = tokenizer(["a red", "", "x" * 90], padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        ours = model(input_ids=ids, pixel_values=pixels).logits_per_image
        vectors = [theirs.eval().encode_image(pixels, normalize=True), theirs.encode_text(ids, normalize=True)]
        assert torch.allclose(theirs.logit_scale.exp() * vectors[0] @ vectors[1].T, ours, atol=1e-4)
    assert theirs.logit_scale.exp().item() == pytest.approx(1 / 0.07, rel=1e-5)
    assert math.isfinite(ours.sum())
