"""A run that is killed, stopped by a signal, or goes on in other processes is the run that went through."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from pipeline.recipe_file import to_yaml

from .runs import lines, outcome, same, two_processes


@pytest.mark.parametrize("workers", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1))])
def test_a_chain_of_killed_runs_is_one_run(recipe, train, tmp_path, workers):
    """Killed with -9 after 1 step, then after 2, and so on, the run is bit for bit the one that went through."""
    made = recipe(steps=5, batch=24, data__workers=workers, model__text__attention_dropout=0.1, patch_dropout=0.25)
    train(made, tmp_path / "whole", log_samples=True)
    (tmp_path / "recipe.yaml").write_text(to_yaml(made))
    command = [sys.executable, "-m", "pipeline.train", "--recipe", str(tmp_path / "recipe.yaml"), "--log-samples",
               "--output", str(tmp_path / "chain")]  # fmt: skip
    for steps in (1, 2):
        killed_after(command, tmp_path / "chain", steps)
    train(made, tmp_path / "chain", log_samples=True)
    same(outcome(tmp_path / "chain"), outcome(tmp_path / "whole"))


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_a_run_with_a_checkpoint(recipe, train, tmp_path, number):
    """The fault: what came after the last checkpoint was lost, 1,000 steps by default."""
    made, run = recipe(steps=5000, log__checkpoint=5000, data__workers=1), tmp_path / "run"
    (tmp_path / "recipe.yaml").write_text(to_yaml(made))
    command = [sys.executable, "-m", "pipeline.train", "--recipe", tmp_path / "recipe.yaml", "--output", run]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    while steps_of(run) < 2:
        assert process.poll() is None, process.stderr.read().decode()
    os.killpg(process.pid, number)  # workers, too, as a scheduler and a terminal do it
    said, errors = process.communicate(timeout=100)
    assert process.returncode == 128 + number, errors.decode()
    last = lines(run / "metrics.jsonl")[-1]["step"]
    assert f"Stopped after step {last:,}" in (said + errors).decode()
    assert b"Traceback" not in errors
    assert [file.name for file in (run / "checkpoints").iterdir()] == [f"step-{last:08d}.pt"]
    assert train(made, run, stop_after=1)["step"] == last + 1


def killed_after(command, folder, steps):
    """Starts a run and kills it when its record shows ``steps`` more steps."""
    before = steps_of(folder)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    while steps_of(folder) < min(before + steps, 4):
        if process.poll() is not None:
            raise AssertionError(process.stderr.read().decode())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()


def steps_of(folder):
    file = folder / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("sharded", ["false", "true"])
def test_two_processes_and_then_one_are_the_run_of_one(recipe, train, tmp_path, sharded):
    made = recipe(steps=4, batch=16, shard_parameters=sharded)
    train(made, tmp_path / "whole", log_samples=True)
    (tmp_path / "recipe.yaml").write_text(to_yaml(made))
    command = [*two_processes(), "-m", "pipeline.train", "--recipe", str(tmp_path / "recipe.yaml"), "--log-samples",
               "--output", str(tmp_path / "both"), "--stop-after", "2"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    train(made, tmp_path / "both", log_samples=True)
    (keys, losses, weights), (want_keys, want_losses, want_weights) = (
        outcome(tmp_path / "both"),
        outcome(tmp_path / "whole"),
    )
    assert keys == want_keys
    assert [loss[1] for loss in losses] == pytest.approx([loss[1] for loss in want_losses], abs=1e-4)
    assert all(torch.allclose(weights[name], want_weights[name], atol=1e-3) for name in weights)
