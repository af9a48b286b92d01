"""A model to start from: its architecture is taken where the recipe does not name it, and else compared."""

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.recipe_file import validated
from pipeline.train import checkpoint
from pipeline.train.architecture import new_config
from pipeline.train.distributed import ProcessGroup
from pipeline.train.export import export
from pipeline.train.models import Towers, model_of
from pipeline.train.recipe import TrainRecipe
from pipeline.train.start import prepare
from pipeline.train.state import initial_state
from pipeline.train.tokenizer import tokenizer_config, train_tokenizer

ALONE = ProcessGroup(0, 1, 1, torch.device("cpu"))
# None of these shows in the shape of a weight.
HIDDEN = "{hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2, num_attention_heads: 4, hidden_act: gelu, layer_norm_eps: 0.1}"


@pytest.fixture
def given(recipe, tmp_path):
    """The folder of a model with other heads, activation and epsilon than the defaults, and SigLIP's bias."""
    tokenizer = train_tokenizer(["a red square", "a blue circle"] * 20, 300, 24)
    made = recipe(model__text=HIDDEN, model__vision=HIDDEN[:-1] + ", patch_size: 8}", loss__name="siglip")
    torch.manual_seed(5)
    towers = Towers(model_of(new_config(made.model, tokenizer_config(tokenizer), True)), siglip=True)
    torch.nn.init.constant_(towers.bias, -3.5)
    export(towers, tokenizer, recipe().model, {}, tmp_path / "given")
    return tmp_path / "given", towers.eval()


def unnamed(shard_set, **changes):
    """A recipe that says nothing of the model but what is given here."""
    content = {"name": "x", "batch": 16, "steps": 2, "data": {"shards": [str(shard_set)]}}
    return validated(TrainRecipe, content | changes, "x")


def test_the_architecture_is_the_given_models(given, shard_set, tmp_path):
    """The fault: heads, activation and epsilon were the recipe's, and vectors at a cosine of 0.974; the bias was -10."""
    folder, towers = given
    start = prepare(unnamed(shard_set, loss={"name": "siglip"}), tmp_path / "run", ALONE, str(folder))
    state = initial_state(start, ALONE)
    assert start.recipe.model.image_size == 32
    assert float(state.towers.bias.detach()) == -3.5
    images, ids = (
        torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8),
        torch.tensor([[1, 5, 6, towers.model.config.text_config.eos_token_id]] * 4),
    )
    with torch.no_grad():
        for found, want in zip(state.towers.eval()(images, ids), towers(images, ids), strict=True):
            assert torch.equal(found, want)
    start.write(ALONE)
    # It has no checkpoint yet: without the option the weights would be fresh ones.
    with pytest.raises(UsageError, match="--init-from is not given: the run in .* started from .*given; --force"):
        prepare(unnamed(shard_set, loss={"name": "siglip"}), tmp_path / "run", ALONE)
    checkpoint.save(tmp_path / "run" / "checkpoints", {"step": 1}, 1)
    again = prepare(unnamed(shard_set, loss={"name": "siglip"}), tmp_path / "run", ALONE)
    assert again.config.text_config.num_attention_heads == 4
    with pytest.raises(UsageError, match="--init-from elsewhere: the run in .* started from .*given; --force"):
        prepare(unnamed(shard_set, loss={"name": "siglip"}), tmp_path / "run", ALONE, "elsewhere")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"text": {"num_attention_heads": 2}}, "model.text.num_attention_heads: found 2, --init-from .* has 4"),
        ({"vision": {"hidden_act": "quick_gelu"}}, "model.vision.hidden_act: found 'quick_gelu', .* has 'gelu'"),
        ({"text": {"layer_norm_eps": 1e-5}}, "model.text.layer_norm_eps: found 1e-05, .* has 0.1"),
        ({"vision": {"num_hidden_layers": 3}}, "model.vision.num_hidden_layers: found 3"),
        ({"image_size": 64}, "model.image_size: found 64"),
        ({"projection": 16}, "model.projection: found 16, .*are not those of the recipe's model"),
        ({"kind": "metaclip2"}, "model.kind: found 'metaclip2', .* has 'clip'"),
        ({"text": {"heads": 2}}, "model.text.heads: no such key"),
    ],
)
def test_another_architecture_is_refused(given, shard_set, tmp_path, model, message):
    with pytest.raises(UsageError, match=message):
        prepare(unnamed(shard_set, model=model), tmp_path / "run", ALONE, str(given[0]))
    assert not (tmp_path / "run").exists()


def test_what_is_named_and_the_same_is_fine_and_dropout_is_the_recipes(given, shard_set, tmp_path):
    model = {"image_size": 32, "projection": 32, "text": {"num_attention_heads": 4, "attention_dropout": 0.3}}
    start = prepare(unnamed(shard_set, model=model), tmp_path / "run", ALONE, str(given[0]))
    assert start.config.text_config.attention_dropout == 0.3


def test_a_text_may_not_be_longer_than_the_model_has_positions(given, shard_set, tmp_path):
    assert prepare(unnamed(shard_set), tmp_path / "run", ALONE, str(given[0])).tokenizer.model_max_length == 24
    with pytest.raises(UsageError, match="tokenizer.length: found 77; .* has 24 positions"):
        prepare(unnamed(shard_set, tokenizer={"length": 77}), tmp_path / "run", ALONE, str(given[0]))


def test_weights_that_are_missing_are_said(given, shard_set, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = load_file(given[0] / "model.safetensors")
    weights.pop("text_projection.weight")
    save_file(weights, given[0] / "model.safetensors", {"format": "pt"})
    start = prepare(unnamed(shard_set), tmp_path / "run", ALONE, str(given[0]))
    with pytest.raises(UsageError, match="has no text_projection.weight"):
        initial_state(start, ALONE)
