"""The bundled training recipes: they load, and the models that they name can be built."""

import pytest
import torch

from pipeline.recipe_file import bundled
from pipeline.train.models import TokenizerConfig, Towers, build_model, towers_of
from pipeline.train.optimizer import build_optimizer, learning_rate
from pipeline.train.recipe import FOLDER, load_train_recipe

from .test_step import ALIGN, SIGLIP

PARAMETERS = {"nano": 2.056, "vit-b-32": 151, "vit-b-16": 150, "vit-l-14": 428, "vit-h-14": 986, "align": 173}


@pytest.mark.parametrize("name", bundled(FOLDER))
def test_bundled_recipes_build(name):
    recipe = load_train_recipe(name)
    assert recipe.name == name
    size = recipe.tokenizer.vocabulary
    if recipe.model.kind == "align":
        built = build_model(recipe.model, TokenizerConfig(size, size - 2, size - 1, 0, recipe.tokenizer.length))
    else:
        with torch.device("meta"):  # sizes without memory
            built = build_model(recipe.model, TokenizerConfig(size, size - 2, size - 1, 0, recipe.tokenizer.length))
    millions = sum(p.numel() for p in built.parameters()) / 1e6
    if name in PARAMETERS:
        assert millions == pytest.approx(PARAMETERS[name], rel=0.02)


def test_the_schedule():
    options = load_train_recipe("vit-b-16").optimizer
    rates = [learning_rate(step, 10_000, options) for step in range(10_000)]
    assert rates[0] == pytest.approx(5e-4 / 2000)
    assert max(rates) == rates[1999] == rates[2000] == 5e-4
    assert rates[6000] == pytest.approx(2.5e-4)
    assert rates[-1] < 1e-10
    assert all(a >= b for a, b in zip(rates[2000:], rates[2001:], strict=False))


def test_decay_is_not_on_gains_biases_and_the_scale(recipe):
    model = build_model(recipe().model, TokenizerConfig(400, 398, 399, 0, 77))
    names = {id(p): name for name, p in model.named_parameters()}
    groups = build_optimizer(Towers(model), recipe(), torch.device("cpu"))[0].param_groups
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    assert "text_model.embeddings.token_embedding.weight" in decayed
    assert not {name for name in decayed if name.endswith("bias") or "norm" in name or name == "logit_scale"}
    assert sum(len(group["params"]) for group in groups) == len(names)


@pytest.mark.parametrize("kind", ["clip", "align", "siglip"])
def test_siglips_loss_starts_at_its_scale_and_bias(recipe, kind):
    """The fault: of ALIGN models the scale was 1, and the bias of 10 hid all that a cosine could say."""
    changes = {"clip": {}, "align": ALIGN | {"loss__label_smoothing": 0}, "siglip": SIGLIP}[kind]
    made = recipe(**changes | {"loss__name": "siglip"})
    towers = towers_of(build_model(made.model, TokenizerConfig(400, 398, 399, 0, 77), siglip=True), made)
    assert towers.scale().item() == pytest.approx(10)
    assert towers.logit_bias().item() == -10
