"""The average of the weights: by hand, in a chain of runs, and exported."""

import json

import pytest
import torch
from transformers import AutoModel
from typer.testing import CliRunner

from pipeline.errors import PipelineError, UsageError
from pipeline.train import export

from .conftest import invoke
from .runs import outcome, same
from .test_evaluating import LITTLE
from .test_step import ALIGN


def averages(run, step):
    saved = torch.load(run / "checkpoints" / f"step-{step:08d}.pt", weights_only=True)
    return saved["towers"], saved["ema"]


@pytest.mark.parametrize(
    "changes", [{}, pytest.param(ALIGN, marks=pytest.mark.slow)], ids=["clip", "align, with batch norms"]
)
def test_it_is_what_the_checkpoints_say(recipe, train, tmp_path, changes):
    made = recipe(ema__decay=0.8, ema__warmup=2, log__keep=9, steps=4, **(changes or LITTLE))
    train(made, tmp_path / "run")
    steps = [averages(tmp_path / "run", step) for step in (1, 2, 3, 4)]
    for (_, before), (now, after), decay in zip(steps, steps[1:], (0.8, 0.8, 0.8), strict=False):
        for name, value in after.items():
            assert torch.allclose(value, decay * before[name] + (1 - decay) * now[name], atol=1e-6), name
    exported = AutoModel.from_pretrained(tmp_path / "run" / "model").state_dict()
    towers, ema = steps[-1]
    assert set(ema) == {name for name, value in towers.items() if value.is_floating_point()} - {
        name
        for name in towers
        if ".pooler." in name and "text" in name  # does not learn
    }
    assert all(
        torch.equal(exported[name.removeprefix("model.")], value) for name, value in ema.items() if name[:5] == "model"
    )
    assert any(not torch.equal(towers[name], value) for name, value in ema.items())
    assert json.loads((tmp_path / "run" / "model" / "training.json").read_text())["ema"] is True


def test_the_first_steps_count_less_and_less(recipe):
    from pipeline.train.ema import Average
    from pipeline.train.models import Towers, build_model
    from pipeline.train.step import Inputs  # noqa: F401

    from .test_step import TOKENS

    made = recipe(ema__decay=0.9, optimizer__warmup=10, **LITTLE)
    average = Average(Towers(build_model(made.model, TOKENS)), made)
    assert [round(average.decay_at(step), 6) for step in (1, 5, 10, 99)] == [0.09, 0.45, 0.9, 0.9]


def test_a_chain_has_the_averages_of_one_run(recipe, train, tmp_path):
    made = recipe(ema__decay=0.8, **LITTLE)
    train(made, tmp_path / "whole", log_samples=True)
    for _ in range(2):
        train(made, tmp_path / "chain", log_samples=True, stop_after=2)
    same(outcome(tmp_path / "chain"), outcome(tmp_path / "whole"))
    # Another decay is another run, unless that is asked for; then an average may begin, too.
    with pytest.raises(UsageError, match="ema.decay: its run has 0.8, the recipe 0.9; .*--allow-changes"):
        train(recipe(ema__decay=0.9, steps=6, **LITTLE), tmp_path / "chain")
    train(recipe(steps=5, **LITTLE), tmp_path / "chain", allow_changes=True)
    assert "ema" not in torch.load(tmp_path / "chain" / "checkpoints" / "step-00000005.pt", weights_only=True)
    train(recipe(ema__decay=0.9, steps=6, **LITTLE), tmp_path / "chain", allow_changes=True)
    assert averages(tmp_path / "chain", 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ema__decay": 1}, "ema.decay: found 1"),
        ({"ema__decay": 0}, "ema.decay: found 0"),
        ({"ema__decay": "yes"}, "ema.decay: found 'yes'"),
        ({"ema__warmup": 5}, "ema.warmup: there is no ema.decay; allowed: null"),
        ({"ema__decay": 0.9, "ema__warmup": -1}, "ema.warmup: found -1"),
    ],
    ids=lambda c: str(c),
)
def test_what_ema_may_not_say(recipe, changes, message):
    with pytest.raises(UsageError, match=message):
        recipe(**changes)


def test_any_checkpoint_is_exported(recipe, train, tmp_path):
    run = tmp_path / "run"
    train(recipe(ema__decay=0.8, log__keep=9, **LITTLE), run, stop_after=3)
    assert not (run / "model").exists()  # it is going on
    for step, options in ((2, []), (3, ["--ema"])):
        file, folder = run / "checkpoints" / f"step-{step:08d}.pt", tmp_path / f"model {step}"
        said = invoke(export.app, "--checkpoint", file if step == 2 else run, "--output", folder, *options)
        assert f"Model after step {step}" in said.output
        towers, ema = averages(run, step)
        want = towers | (ema if options else {})
        found = AutoModel.from_pretrained(folder).state_dict()
        assert all(torch.equal(found[name], want[f"model.{name}"]) for name in found)
        facts = json.loads((folder / "training.json").read_text())
        assert (facts["steps"], facts["samples"], facts["ema"]) == (step, 16 * step, bool(options))
    before = sorted(path for path in tmp_path.rglob("*"))
    for arguments, message in (
        (["--checkpoint", tmp_path, "--output", tmp_path / "x"], "has no checkpoints"),
        (["--checkpoint", run / "checkpoints" / "step-00000009.pt", "--output", tmp_path / "x"], "no such file"),
        (["--checkpoint", run, "--output", run], "holds .*, which is read"),
        (["--checkpoint", run, "--output", run / "checkpoints"], "holds .*, which is read"),
        (["--checkpoint", run, "--output", run / "tokenizer"], "holds .*, which is not of this command"),
    ):
        done = CliRunner().invoke(export.app, [str(argument) for argument in arguments])
        assert isinstance(done.exception, PipelineError)
        assert pytest.raises(PipelineError, match=message) is not None
        with pytest.raises(PipelineError, match=message):
            raise done.exception
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_run_without_an_average_has_none_to_export(recipe, train, tmp_path):
    train(recipe(**LITTLE), tmp_path / "run", stop_after=1)
    done = CliRunner().invoke(
        export.app, ["--checkpoint", str(tmp_path / "run"), "--output", str(tmp_path / "x"), "--ema"]
    )
    assert "has no average of the weights; the run has no ema.decay" in str(done.exception)
    assert not (tmp_path / "x").exists()
