"""Evaluation while a model trains: it changes nothing of the training, and says what the finished model would give."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.errors import UsageError
from pipeline.recipe_file import to_yaml
from pipeline.train import evaluate

from .conftest import COLOURS, drawn, invoke, write_tar
from .runs import lines, outcome, same, two_processes
from .test_loop import TINY
from .test_start import content

LITTLE = {"model__vision": TINY[:-1] + ", patch_size: 8}", "model__text": TINY[:-1] + ", attention_dropout: 0.2}"}


@pytest.fixture
def classes(tmp_path):
    for colour in COLOURS[:3]:
        (tmp_path / "colours" / colour).mkdir(parents=True)
        (tmp_path / "colours" / colour / "a.png").write_bytes(drawn(colour, "circle"))
    return tmp_path / "colours"


@pytest.fixture
def evaluated(recipe, shard_set, classes):
    sets = {"evaluate__shards": f'["{shard_set / "00001.tar"}"]', "evaluate__classification": f'["{classes}"]'}
    return lambda **changes: recipe(**LITTLE | sets | {"evaluate__every": 2, "log__every": 2} | changes)


def evaluations(run):
    return {line["step"]: line for line in lines(run / "metrics.jsonl") if any(key[:8] == "evaluate" for key in line)}


def of_training(run):
    samples, losses, weights = outcome_of(run)
    return samples, [loss for loss in losses if loss[1] is not None], weights


def outcome_of(run):
    """As ``outcome``, of a run that has records without a loss."""
    whole = (run / "metrics.jsonl").read_text()
    kept = [line for line in whole.splitlines(keepends=True) if "loss" in json.loads(line)]
    (run / "metrics.jsonl").write_text("".join(kept))
    found = outcome(run)
    (run / "metrics.jsonl").write_text(whole)
    return found


def test_a_run_is_the_same_with_evaluation_and_without(recipe, evaluated, train, tmp_path, shard_set, classes):
    train(recipe(**LITTLE, log__every=2, steps=5), tmp_path / "without", log_samples=True)
    train(evaluated(steps=5), tmp_path / "with", log_samples=True)
    same(of_training(tmp_path / "with"), of_training(tmp_path / "without"))
    found = evaluations(tmp_path / "with")
    assert list(found) == [2, 4, 5]
    assert found[4]["samples"] == 64
    # The last one is what the command says of the exported model.
    shards = ("--shards", shard_set / "00001.tar", "--classification", classes)
    invoke(evaluate.app, "--model", tmp_path / "with" / "model", *shards, "--output", tmp_path / "found.json")
    said = json.loads((tmp_path / "found.json").read_text())
    both = said["retrieval"]["all"]
    assert found[5] == {"step": 5, "samples": 80} | {
        f"evaluate/retrieval/{way}_recall@{k}": both[way][f"recall@{k}"]["value"]
        for way in ("text_to_image", "image_to_text")
        for k in (1, 5, 10)
    } | {
        f"evaluate/colours/{key}": said["classification"]["colours"][key]["value"] for key in ("top_1", "top_5")
    } | {"evaluate/colours/mean_class_recall": said["classification"]["colours"]["mean_class_recall"]}  # fmt: skip
    assert not (tmp_path / "with" / ".evaluation").exists()


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"ema__decay": 0.7}, {"ema__decay": 0.7, "optimizer__name": "lamb"}])
def test_a_chain_of_runs_evaluates_as_one_run(evaluated, train, tmp_path, changes):
    made = evaluated(steps=6, evaluate__every="null", evaluate__every_samples=48, **changes)
    train(made, tmp_path / "whole", log_samples=True)
    assert list(evaluations(tmp_path / "whole")) == [3, 6]
    for _ in range(4):
        train(made, tmp_path / "chain", log_samples=True, stop_after=2)
    assert evaluations(tmp_path / "chain") == evaluations(tmp_path / "whole")
    same(of_training(tmp_path / "chain"), of_training(tmp_path / "whole"))


def test_a_signal_ends_an_evaluation_and_the_next_start_makes_it(evaluated, train, tmp_path):
    made, run = evaluated(steps=2, log__checkpoint=100), tmp_path / "run"

    def stop():
        while not (run / ".evaluation").is_dir():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    last = train(made, run)
    assert (last["step"], last["stopped"]) == (2, signal.SIGTERM)
    assert not evaluations(run)
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["step-00000002.pt"]
    assert not (run / "model").exists()
    assert train(made, run)["step"] == 2
    assert list(evaluations(run)) == [2]
    assert (run / "model").is_dir()


def test_a_set_that_fails_does_not_end_a_training(evaluated, train, tmp_path, classes):
    shutil.rmtree(classes)
    classes.mkdir()
    (classes / "classnames.txt").write_text("red\nblue\n")
    write_tar(classes / "0.tar", {"a.cls": b"red", "a.png": drawn("red", "circle")})
    train(evaluated(steps=2, evaluate__shards="[]"), tmp_path / "run")
    (found,) = evaluations(tmp_path / "run").values()
    assert "a is of class red; there are 2" in found["evaluate/failed"]
    assert (tmp_path / "run" / "model").is_dir()


@pytest.mark.parametrize("going_on", [False, True], ids=["", "going on"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate__shards": '["/nowhere"]'}, "evaluate.shards: /nowhere: no such file or folder"),
        ({"evaluate__classification": '["/nowhere"]'}, "evaluate.classification /nowhere: no such folder"),
    ],
    ids=["shards", "classes"],
)
def test_sets_that_are_not_there_change_nothing(evaluated, recipe, train, tmp_path, changes, message, going_on):
    run = tmp_path / "run"
    if going_on:
        train(recipe(**LITTLE, log__every=2), run, stop_after=1)
    before = content(tmp_path)
    with pytest.raises(UsageError, match=message):
        train(evaluated(**changes), run)
    assert content(tmp_path) == before
    with pytest.raises(UsageError, match=message):
        train(evaluated(**changes), run, force=True)
    assert content(tmp_path) == before


def test_a_run_in_the_folder_of_its_evaluation_set_is_refused(evaluated, train, classes):
    with pytest.raises(UsageError, match="holds .*, which evaluate.classification names"):
        train(evaluated(), classes, force=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate__every": "null"}, "evaluate.every: found none; steps, or evaluate.every_samples, are needed"),
        ({"evaluate__every_samples": 9}, "evaluate.every, evaluate.every_samples: found both"),
        ({"evaluate__shards": "[]", "evaluate__classification": "[]"}, "evaluate: no sets; give evaluate.shards"),
        ({"evaluate__every": 0}, "evaluate.every: found 0"),
        ({"evaluate__retrieval": "[x]"}, "evaluate.retrieval: no such key"),
    ],
    ids=lambda c: str(c),
)
def test_what_evaluate_may_not_say(evaluated, changes, message):
    with pytest.raises(UsageError, match=message):
        evaluated(**changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shard_parameters": "true", "ema__decay": 0.6},
        {"loss__name": "siglip", "loss__chunked": "true", "ema__decay": 0.6},
    ],
    ids=lambda c: "-".join(c) or "plain",
)
def test_two_processes_evaluate_as_one(evaluated, train, tmp_path, changes):
    made = evaluated(steps=4, batch=16, model__text=TINY, **changes)
    train(made, tmp_path / "whole", log_samples=True)
    (tmp_path / "recipe.yaml").write_text(to_yaml(made))
    command = [*two_processes(), "-m", "pipeline.train", "--recipe", str(tmp_path / "recipe.yaml"), "--log-samples",
               "--output", str(tmp_path / "both"), "--stop-after", "3"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    found, want = evaluations(tmp_path / "both"), evaluations(tmp_path / "whole")
    assert list(found) == list(want) == [2, 4]
    for step, line in want.items():
        assert found[step] == pytest.approx(line, abs=0.11)  # a rank or two of twenty
    ours, theirs = (outcome_of(tmp_path / name) for name in ("both", "whole"))
    assert ours[0] == theirs[0]
    for name, weights in theirs[2].items():
        assert ours[2][name].allclose(weights, atol=1e-3), name


@pytest.mark.slow
def test_the_module_runs(tmp_path):
    command = [sys.executable, "-m", "pipeline.train.export", "--checkpoint", str(tmp_path), "--output", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().replace("\n", " ") == (
        f"error: --checkpoint {tmp_path}: has no checkpoints; give a run's folder, or a checkpoint of one"
    )


@pytest.mark.slow
def test_a_signal_to_all_processes_ends_an_evaluation(evaluated, train, tmp_path):
    """A scheduler ends the workers of the evaluation, too; that is no failure of its set."""
    made, run = evaluated(steps=4, evaluate__every=3, log__checkpoint=100), tmp_path / "run"
    (tmp_path / "recipe.yaml").write_text(to_yaml(made))
    command = [
        *two_processes(),
        "-m",
        "pipeline.train",
        "--recipe",
        str(tmp_path / "recipe.yaml"),
        "--output",
        str(run),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        while not (run / ".evaluation").is_dir():
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=200)[0].decode()
    assert "could not be evaluated" not in said
    assert not evaluations(run)
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["step-00000003.pt"]
    train(made, run)
    assert list(evaluations(run)) == [3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("sharded", ["false", "true"])
def test_two_processes_with_a_frozen_tower_and_then_one(evaluated, recipe, train, tmp_path, sharded):
    plain = LITTLE | {"model__text": TINY}  # Of each process dropout is another.
    train(recipe(**plain, steps=1), tmp_path / "first")
    changes = plain | {"image__frozen": "true", "text__lr": 5e-4, "ema__decay": 0.5}
    made, given = evaluated(steps=4, shard_parameters=sharded, **changes), tmp_path / "first" / "model"
    train(made, tmp_path / "whole", log_samples=True, init_from=str(given))
    (tmp_path / "recipe.yaml").write_text(to_yaml(made))
    command = [*two_processes(), "-m", "pipeline.train", "--recipe", str(tmp_path / "recipe.yaml"), "--log-samples",
               "--output", str(tmp_path / "both"), "--stop-after", "2", "--init-from", str(given)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    train(made, tmp_path / "both", log_samples=True)
    ours, theirs = (outcome_of(tmp_path / name) for name in ("both", "whole"))
    assert ours[0] == theirs[0]
    for name, weights in theirs[2].items():
        assert ours[2][name].allclose(weights, atol=1e-3), name
