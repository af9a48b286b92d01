"""How each tower learns: at a rate of its own, or frozen; and how long, in epochs."""

import pytest
import torch
from transformers import AutoModel

from pipeline.errors import UsageError
from pipeline.train import flops, memory
from pipeline.train.models import build_model, towers_of
from pipeline.train.optimizer import build_optimizer

from .distributed import gradients
from .runs import lines, outcome, same
from .test_evaluating import LITTLE
from .test_step import ALIGN, TOKENS, batch, compare

IMAGE, TEXT = ("vision_model.", "visual_projection."), ("text_model.", "text_projection.")


def test_each_tower_has_its_rate(recipe):
    towers = towers_of(build_model(recipe().model, TOKENS), made := recipe(image__lr=1e-3, text__lr=1e-5))
    optimizer, peaks = build_optimizer(towers, made, torch.device("cpu"))
    names = {id(p): name.removeprefix("model.") for name, p in towers.named_parameters()}
    rates = {
        names[id(p)]: peak for group, peak in zip(optimizer.param_groups, peaks, strict=True) for p in group["params"]
    }
    assert set(rates) == set(names.values())
    want = {
        name: 1e-3 if name.startswith(IMAGE) else 1e-5 if name.startswith(TEXT) else made.optimizer.lr for name in rates
    }
    assert rates == want


@pytest.mark.parametrize("name", ["adamw", pytest.param("lamb", marks=pytest.mark.slow)])
def test_rates_are_used_logged_and_may_change_where_that_is_asked_for(recipe, train, tmp_path, name):
    made = recipe(image__lr=1e-12, optimizer__name=name, **LITTLE)
    train(made, tmp_path / "run", log_samples=True)
    first, second = lines(tmp_path / "run" / "metrics.jsonl")[:2]
    assert first["image_lr"] / first["lr"] == pytest.approx(1e-12 / made.optimizer.lr)
    assert second["image_lr"] == 1e-12
    weights = [
        torch.load(tmp_path / "run" / "checkpoints" / f"step-{n:08d}.pt", weights_only=True)["towers"] for n in (3, 4)
    ]
    moved = {name for name in weights[0] if (weights[0][name] - weights[1][name]).abs().max() > 1e-8}
    assert moved
    assert not [name for name in moved if name.removeprefix("model.").startswith(IMAGE)]
    for _ in range(2):
        train(made, tmp_path / "chain", log_samples=True, stop_after=2)
    same(outcome(tmp_path / "chain"), outcome(tmp_path / "run"))
    other = recipe(text__lr=1e-3, optimizer__name=name, steps=5, **LITTLE)
    with pytest.raises(UsageError, match="image.lr: its run has 1e-12, the recipe None; .*--allow-changes"):
        train(other, tmp_path / "run")
    assert train(other, tmp_path / "run", allow_changes=True)["step"] == 5


@pytest.mark.parametrize(
    ("tower", "changes"),
    [
        ("image", {}),
        ("text", {"micro_batch": 8}),
        pytest.param("image", ALIGN, marks=pytest.mark.slow),
        pytest.param("image", {"micro_batch": 8}, marks=pytest.mark.slow),
        pytest.param("text", {"activation_checkpointing": "true"}, marks=pytest.mark.slow),
        pytest.param("image", {"ema__decay": 0.5, "loss__name": "siglip"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_frozen_tower_stays_as_it_was(recipe, train, tmp_path, tower, changes):
    """Its weights and the statistics of its batch norms; it has no gradients and no state in the optimizer."""
    given = LITTLE | changes
    train(recipe(**given, steps=1), tmp_path / "first")
    made = recipe(**given, **{f"{tower}__frozen": "true"})
    start = str(tmp_path / "first" / "model")
    train(made, tmp_path / "run", init_from=start, log_samples=True)
    own, before, after = IMAGE if tower == "image" else TEXT, AutoModel.from_pretrained(start), None
    after = AutoModel.from_pretrained(tmp_path / "run" / "model").state_dict()
    for name, value in before.state_dict().items():
        if name.startswith(own):
            assert torch.equal(after[name], value), name
    assert any(not torch.equal(after[name], value) for name, value in before.state_dict().items())
    saved = torch.load(tmp_path / "run" / "checkpoints" / "step-00000004.pt", weights_only=True)
    with_state = {name.removeprefix("model.") for name in saved["optimizer"]["state"]}
    assert with_state
    assert not [name for name in with_state if name.startswith(own)]
    train(made, tmp_path / "chain", init_from=start, log_samples=True, stop_after=2)
    train(made, tmp_path / "chain", log_samples=True)
    same(outcome(tmp_path / "chain"), outcome(tmp_path / "run"))


@pytest.mark.parametrize("micro", [None, 6])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_gradients_of_the_other_tower_are_as_before(recipe, tower, micro):
    made = recipe(**{f"{tower}__frozen": "true"}, micro_batch=micro or "null")
    loss, found = gradients(made, TOKENS, *batch(), True)
    want_loss, want = gradients(recipe(), TOKENS, *batch(), True)
    own = IMAGE if tower == "image" else TEXT
    assert found
    assert not [name for name in found if name.removeprefix("model.").startswith(own)]
    compare((loss, found), (want_loss, {name: want[name] for name in found}), True)


def test_a_frozen_tower_takes_less(recipe):
    """Memory, with the optimizer's, and operations."""
    made, frozen = recipe(), recipe(image__frozen="true")
    config = build_model(made.model, TOKENS).config
    needs = [memory.estimate(config, each, 12, 1) for each in (made, frozen)]
    assert needs[1].sample < 0.8 * needs[0].sample
    assert needs[1].fixed < needs[0].fixed
    both = [flops.flop_counter(config, each)(12) for each in (made, frozen)]
    text = flops.flop_counter(config, recipe(text__frozen="true"))(12)
    assert both[1] < both[0]
    assert both[1] + text == pytest.approx(both[0] * 4 / 3, rel=0.1)  # a forward is a third


def test_epochs_are_steps_of_the_whole_set(recipe, train, tmp_path):
    made = recipe(steps="null", epochs=0.5, **LITTLE)
    last = train(made, tmp_path / "run", log_samples=True)
    assert last["step"] == 2  # 30 of 60 samples, 16 a batch
    train(recipe(steps=2, **LITTLE), tmp_path / "steps", log_samples=True)
    same(outcome(tmp_path / "run"), outcome(tmp_path / "steps"))
    assert train(recipe(steps="null", epochs=1, **LITTLE), tmp_path / "run")["step"] == 4
    again = train(recipe(steps="null", epochs=1, **LITTLE), tmp_path / "run")
    assert again == {"step": 4}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2}, r"steps, epochs: found both; exactly one is allowed \(the other null\)"),
        ({"steps": "null"}, "steps, epochs: found neither"),
        ({"steps": "null", "epochs": 0}, "epochs: found 0"),
        ({"steps": "null", "epochs": ".inf"}, "epochs: found inf"),
        ({"image__frozen": "true", "text__frozen": "true"}, "image.frozen, text.frozen: found both; one tower at most"),
        ({"image__frozen": "true", "image__lr": 0.1}, "image.lr: the tower is frozen; allowed: null"),
        ({"image__frozen": "true", "patch_dropout": 0.5}, "patch_dropout: the image tower is frozen; allowed: 0"),
        ({"text__lr": 0}, "text.lr: found 0"),
        ({"vision__lr": 0.1}, "vision.lr: no such key|vision: no such key"),
        ({"loss__chunked": "true"}, "loss.chunked: for loss.name siglip; allowed here: false"),
        ({"model__kind": "siglip"}, "loss.name: found 'clip'; for a SigLIP model siglip is allowed"),
    ],
    ids=lambda c: str(c),
)
def test_what_a_recipe_may_not_say(recipe, changes, message):
    with pytest.raises(UsageError, match=message):
        recipe(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image__frozen": "true"}, "image.frozen: the tower would keep random weights; --init-from"),
        (
            {"steps": "null", "epochs": 1, "data__shards": '["pipe:cat x.tar"]'},
            "epochs: .* streamed have no known size",
        ),
    ],
)
def test_what_does_not_fit_changes_nothing(recipe, train, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        train(recipe(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
