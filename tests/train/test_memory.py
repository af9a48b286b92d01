"""What fits into a device's memory: estimates are what real tensors take, and a run takes what fits."""

import json
from dataclasses import replace

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.train import memory
from pipeline.train.architecture import new_config
from pipeline.train.memory import Need, PeakMemory, estimate, fitting_micro_batch
from pipeline.train.models import Towers, model_of
from pipeline.train.recipe import FOLDER, load_train_recipe

from .conftest import ALONE
from .test_step import ALIGN, TOKENS

GB = 10**9


def test_the_most_bytes_at_a_time_are_counted():
    with PeakMemory() as counted:
        first = torch.zeros(1000)
        del first
        kept = torch.zeros(500).view(5, 100)
        other = kept + kept
        del other
    assert counted.most == 4000
    assert counted.now == 2000


@pytest.mark.parametrize(
    "changes",
    [{}, {"activation_checkpointing": "true"}, {"precision": "bfloat16"}, pytest.param(ALIGN, marks=pytest.mark.slow)],
    ids=["plain", "checkpointed", "bfloat16", "align"],
)
def test_an_estimate_is_what_real_tensors_take(recipe, changes):
    made = recipe(**changes)
    config = new_config(made.model, TOKENS)
    model = model_of(config)
    if made.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    towers = Towers(model).train()
    memory.norms_in_float32(towers)
    before = [buffer.clone() for buffer in towers.buffers()]
    real = memory.measured_need(lambda n: memory._measure(towers, made, n, 12, ALONE.device), towers, made, 1, 80 * GB)
    found = estimate(config, made, 12, 1)
    assert found.sample == pytest.approx(real.sample, rel=0.01)
    assert found.fixed == pytest.approx(real.fixed, rel=0.02)
    assert all(parameter.grad is None for parameter in towers.parameters())
    assert all(map(torch.equal, towers.buffers(), before))


def test_checkpointed_activations_take_less(recipe):
    config = new_config(recipe().model, TOKENS)
    plain, checkpointed = (estimate(config, recipe(activation_checkpointing=on), 12, 1) for on in ("false", "true"))
    assert checkpointed.sample < plain.sample


@pytest.fixture
def small_device(recipe, monkeypatch):
    """A CPU that a run takes for a device with little memory."""
    monkeypatch.setattr(memory, "MEASURED_ON", ("cpu",))
    monkeypatch.setattr(memory, "FEW", 8)

    def with_room_for(samples, tokens=12, **changes):
        made = recipe(**changes)
        config = new_config(made.model, replace(TOKENS, length=tokens))
        towers = Towers(model_of(config), siglip=made.loss.name == "siglip").train()
        peak = lambda n: memory._measure(towers, made, n, tokens, ALONE.device)  # noqa: E731
        need = memory.measured_need(peak, towers, made, 1, 80 * GB)
        monkeypatch.setattr(memory, "device_memory", lambda device: (need.of(samples) + need.sample / 2) / memory.USED)
        return made, towers

    return with_room_for


@pytest.mark.parametrize(("given", "found"), [("auto", 8), (9, 9), (4, 4)])
def test_a_run_takes_what_fits(small_device, given, found):
    made, towers = small_device(9, micro_batch=given)
    assert fitting_micro_batch(towers, made, 12, ALONE) == found


def test_all_of_a_batch_that_fits_is_taken_at_once(small_device):
    made, towers = small_device(16, micro_batch="auto")
    assert fitting_micro_batch(towers, made, 12, ALONE) is None


@pytest.mark.parametrize(
    ("room", "changes", "message"),
    [
        (9, {}, "batch: 16 samples at a time need .* allowed: micro_batch of at most 9, or auto"),
        (9, {"micro_batch": 12}, "micro_batch: 12 samples at a time need .* at most 9, or auto"),
        (0, {"micro_batch": "auto"}, "not one fits; allowed: shard_parameters"),
        pytest.param(
            5,
            ALIGN | {"micro_batch": "auto"},
            "batch: 16 samples .* 5 fit: a batch of so many times the processes",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_does_not_fit_is_said_with_what_does(small_device, room, changes, message):
    made, towers = small_device(room, **changes)
    with pytest.raises(UsageError, match=message):
        fitting_micro_batch(towers, made, 12, ALONE)


def test_auto_trains_as_the_number_that_fits(small_device, recipe, train, tmp_path):
    losses = []
    made, _ = small_device(9, 77, micro_batch="auto")
    for number, chosen in enumerate((made, recipe(micro_batch=8))):
        train(chosen, tmp_path / str(number))
        lines = (tmp_path / str(number) / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    assert losses[0] == losses[1]


def test_on_a_cpu_nothing_is_measured(recipe):
    assert fitting_micro_batch(None, recipe(micro_batch="auto"), 12, ALONE) is None
    assert fitting_micro_batch(None, recipe(micro_batch=4), 12, ALONE) == 4


def test_needs_add_up():
    assert Need(10 * GB, GB).most(80 * GB) == 62
    assert Need(10 * GB, GB).of(62) == 72 * GB


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({file.stem for file in FOLDER.glob("*.yaml")} - {"align"}))  # of 32 GPUs
def test_bundled_recipes_fit_eight_gpus_of_80_gb(name):
    made = load_train_recipe(name)
    tokens = replace(TOKENS, size=made.tokenizer.vocabulary, length=made.tokenizer.length)
    need = estimate(new_config(made.model, tokens), made, made.tokenizer.length, 8)
    at_a_time = made.micro_batch or made.batch // 8
    assert need.of(at_a_time) < memory.USED * 80 * GB
