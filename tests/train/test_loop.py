"""Whole runs: what they leave, and what stops one."""

import json
import math
import subprocess
import sys

import pytest
import torch
from transformers import AutoImageProcessor, AutoModel, AutoProcessor, AutoTokenizer

from pipeline.errors import PipelineError, UsageError
from pipeline.train.models import Towers
from tests.images.files import huge

from .conftest import COLOURS, drawn, write_set, write_tar
from .runs import lines, outcome, same
from .test_step import ALIGN

TINY = "{hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2}"


def test_a_run_leaves_what_it_should(recipe, train, tmp_path, shard_set):
    made = recipe(steps=6, log__checkpoint=2)
    last = train(made, tmp_path / "run", log_samples=True)
    assert last["step"] == 6
    assert {file.name for file in (tmp_path / "run").iterdir()} >= {
        "recipe.yaml", "metrics.jsonl", "samples.jsonl", "loss.png", "model", "checkpoints", "tensorboard", "tokenizer",
    }  # fmt: skip
    assert [f.name for f in sorted((tmp_path / "run" / "checkpoints").iterdir())] == [
        "step-00000004.pt",
        "step-00000006.pt",
    ]
    records = lines(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in records] == [1, 2, 3, 4, 5, 6]
    assert records[-1]["samples"] == 96
    keys = [key for line in lines(tmp_path / "run" / "samples.jsonl") for key in line["keys"]]
    assert len(set(keys[:60])) == 60

    model = AutoModel.from_pretrained(tmp_path / "run" / "model")
    saved = torch.load(tmp_path / "run" / "checkpoints" / "step-00000006.pt", weights_only=True)
    towers = Towers(model)
    assert all(torch.equal(saved["towers"][name], value) for name, value in towers.state_dict().items())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert tokenizer.model_max_length == 77
    assert model.config.text_config.eos_token_id == tokenizer.eos_token_id == model.config.text_config.vocab_size - 1
    assert AutoImageProcessor.from_pretrained(tmp_path / "run" / "model").crop_size["height"] == 32
    AutoProcessor.from_pretrained(tmp_path / "run" / "model")
    assert train(made, tmp_path / "run") == {"step": 6}


def test_the_number_of_workers_changes_nothing(recipe, train, tmp_path):
    for workers in (0, 2):
        train(recipe(data__workers=workers, batch=48), tmp_path / str(workers), log_samples=True)
    same(outcome(tmp_path / "0"), outcome(tmp_path / "2"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"model__kind": "metaclip2"}, id="metaclip2"),
        pytest.param({"loss__name": "siglip"}, id="siglip", marks=pytest.mark.slow),
        pytest.param(ALIGN, id="align", marks=pytest.mark.slow),
        pytest.param(ALIGN | {"optimizer__name": "lamb"}, id="align-lamb"),
    ],
)
def test_every_kind_trains_resumes_and_exports(recipe, train, tmp_path, changes):
    made = recipe(**changes)
    train(made, tmp_path / "whole", log_samples=True)
    train(made, tmp_path / "parts", log_samples=True, stop_after=2)
    assert not (tmp_path / "parts" / "model").exists()
    train(made, tmp_path / "parts", log_samples=True)
    same(outcome(tmp_path / "parts"), outcome(tmp_path / "whole"))
    facts = json.loads((tmp_path / "whole" / "model" / "training.json").read_text())
    assert (facts["logit_bias"] is not None) == (made.loss.name == "siglip")
    scale = lines(tmp_path / "whole" / "metrics.jsonl")[0]["logit_scale"]
    assert scale == pytest.approx(
        {"clip": 1 / 0.07, "siglip": 10.0}[made.loss.name] if "model__image_size" not in changes else 1, rel=0.01
    )


def test_a_model_learns_its_set(recipe, train, tmp_path):
    made = recipe(steps=120, batch=20, optimizer__warmup=10, log__every=20, optimizer__lr=0.003)
    last = train(made, tmp_path / "run")
    assert last["loss"] < 0.6 * math.log(20)


def test_a_broken_sample_is_counted_and_its_slot_filled(recipe, train, tmp_path):
    members = {}
    broken = [b"no image", huge("PNG", 20_000, 10_000), huge("JPEG", 12_000, 9_000)]
    for number in range(30):
        content = drawn("red", "circle") if number % 10 else broken[number // 10]
        members |= {f"{number:03d}.png": content, f"{number:03d}.txt": b"red circle %d" % number}
    write_tar(tmp_path / "set.tar", members)
    shards = f'["{tmp_path / "set.tar"}"]'
    made = recipe(data__shards=shards, data__max_broken=0.5, batch=10, steps=3)
    last = train(made, tmp_path / "run", log_samples=True)
    assert last["broken"] >= 3
    batches = [line["keys"] for line in lines(tmp_path / "run" / "samples.jsonl")]
    assert [len(keys) for keys in batches] == [10, 10, 10]
    assert not {"000", "010", "020"} & {key for keys in batches for key in keys}
    train(made, tmp_path / "again", log_samples=True, stop_after=1)
    train(made, tmp_path / "again", log_samples=True)
    same(outcome(tmp_path / "run"), outcome(tmp_path / "again"))
    with pytest.raises(PipelineError, match=r"of \d+ samples cannot be read, data.max_broken allows 1.0%"):
        train(recipe(data__shards=shards, batch=10, steps=3), tmp_path / "strict")


def sparse_set(folder, size, broken):
    """A tar of so many samples, of which some cannot be read."""
    images = [drawn(colour, "cross") for colour in COLOURS]
    members = {}
    for number in range(size):
        content = b"no image" if number in broken else images[number % 10]
        members |= {f"{number:04d}.png": content, f"{number:04d}.txt": b"a cross %d" % number}
    return f'["{write_tar(folder / "set.tar", members)}"]'


@pytest.mark.parametrize("seed", range(2))
def test_a_few_broken_samples_end_no_run(recipe, train, tmp_path, seed):
    """The fault: 3 broken of 1,003 ended some seeds at step 2, as 2 of 32 are more than a hundredth."""
    shards = sparse_set(tmp_path, 1003, {0, 1, 2})
    made = recipe(data__shards=shards, steps=2, batch=334, seed=seed, model__vision=TINY, model__text=TINY)
    last = train(made, tmp_path / "run", log_samples=True)
    named = lines(tmp_path / "run" / "broken.jsonl")
    assert len(named) == last["broken"] > 0
    assert {line["key"] for line in named} <= {"0000", "0001", "0002"}
    assert all(line["tar"].endswith("set.tar") and line["why"] for line in named)
    for line in lines(tmp_path / "run" / "samples.jsonl"):
        assert len(set(line["keys"])) == 334


def test_no_key_is_twice_in_a_batch_whatever_is_broken(recipe, train, tmp_path):
    """The fault: a batch that reached into the next epoch, or had broken samples, had some twice."""
    shards = sparse_set(tmp_path, 50, set(range(0, 50, 4)))
    made = recipe(data__shards=shards, steps=8, batch=8, data__max_broken=1.0, model__vision=TINY, model__text=TINY)
    train(made, tmp_path / "run", log_samples=True)
    for line in lines(tmp_path / "run" / "samples.jsonl"):
        assert len(set(line["keys"])) == 8


def test_online_balancing_draws_anew_each_epoch(recipe, train, tmp_path):
    shards = write_set(tmp_path / "set", samples=40)
    made = recipe(data__shards=f'["{shards}"]', data__online_balancing="true", batch=10, steps=12)
    with pytest.raises(UsageError, match="would be balanced twice"):
        train(made, tmp_path / "run")
    (shards / "manifest.json").write_text('{"balance_mode": "none"}')
    train(made, tmp_path / "run", log_samples=True)
    keys = [key for line in lines(tmp_path / "run" / "samples.jsonl") for key in line["keys"]]
    again = next(i for i, key in enumerate(keys) if key in keys[:i])
    assert 40 < again < 80  # about half of the 120 take part in an epoch
    assert set(keys[again : again + 40]) != set(keys[:40])


def test_a_loss_that_is_not_finite_stops_the_run(recipe, train, tmp_path):
    with pytest.raises(PipelineError, match=r"step \d+: loss nan.*named in .*not-finite.txt"):
        train(recipe(steps=40, optimizer__lr=1e30, optimizer__warmup=0), tmp_path / "run")
    assert len((tmp_path / "run" / "not-finite.txt").read_text().split()) == 16


def test_the_step_that_is_not_finite_is_found_among_those_of_a_log_line(recipe, train, tmp_path):
    said = []
    for every in (1, 20):
        made = recipe(steps=40, optimizer__lr=1e30, optimizer__warmup=0, log__every=every, log__checkpoint=40)
        with pytest.raises(PipelineError, match="loss nan") as error:
            train(made, tmp_path / str(every))
        said.append((str(error.value).partition(";")[0], (tmp_path / str(every) / "not-finite.txt").read_text()))
    assert said[0] == said[1]


def test_fine_tuning_starts_from_the_given_weights(recipe, train, tmp_path):
    train(recipe(), tmp_path / "first")
    made = recipe(optimizer__lr=1e-12)
    train(made, tmp_path / "second", init_from=str(tmp_path / "first" / "model"))
    first, second = (AutoModel.from_pretrained(tmp_path / n / "model").state_dict() for n in ("first", "second"))
    assert all(torch.allclose(first[name], second[name], atol=1e-9) for name in first)
    other = recipe(model__projection=16)
    with pytest.raises(UsageError, match="are not those of the recipe's model"):
        train(other, tmp_path / "third", init_from=str(tmp_path / "first" / "model"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__vision": "{hidden_size: 65, num_attention_heads: 2}"}, "model: .*65.*not a multiple"),
        ({"model__vision": "{hidden_sise: 64}"}, "model.vision.hidden_sise: no such key"),
        (ALIGN | {"model__projection": 96}, "this image tower has 80 channels"),
        ({"tokenizer__path": "/nowhere"}, "/nowhere: no such folder"),
    ],
)
def test_what_does_not_fit_is_said_before_the_first_step(recipe, train, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        train(recipe(**changes), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"micro_batch": 17}, "at most batch, 16"),
        (ALIGN | {"micro_batch": 4}, "batch norm makes cached gradients differ"),
        (ALIGN | {"patch_dropout": 0.5}, "has no patches"),
        ({"loss__name": "siglip", "loss__label_smoothing": 0.1}, "SigLIP's loss has none"),
        ({"model__kind": "blip"}, "found 'blip'; allowed: 'clip', 'metaclip2', 'align' or 'siglip'"),
        ({"data__shard": "x"}, "data.shard: no such key"),
    ],
)
def test_a_wrong_recipe_is_one_line(recipe, changes, message):
    with pytest.raises(UsageError, match=message):
        recipe(**changes)


def test_another_seed_does_not_go_on(recipe, train, tmp_path):
    train(recipe(), tmp_path / "run", stop_after=1)
    with pytest.raises(UsageError, match="seed: its run has 0, the recipe 1; give another folder"):
        train(recipe(seed=1), tmp_path / "run")


def test_the_command_says_errors_in_one_line(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pipeline.train",
        "--shards",
        str(tmp_path / "none"),
        "--output",
        str(tmp_path / "o"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: data.shards: {tmp_path / 'none'}: no such file or folder"
