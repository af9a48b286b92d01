"""The start of a run: it is refused before anything in its folder changes, and nothing is removed that is not a run's."""

import hashlib
import json
import shutil
import socket

import pytest
import torch

from pipeline.errors import UsageError
from pipeline.train import run_folder
from pipeline.train.distributed import ProcessGroup
from pipeline.train.start import prepare

from .conftest import drawn, write_tar
from .distributed import start_with_own_folders
from .servers import served

ALONE = ProcessGroup(0, 1, 1, torch.device("cpu"))


def content(folder):
    """Every file of a folder with its content and time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(f), hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in files]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shard_set):
    """A run with a checkpoint after one of its four steps, and a copy of its shards."""
    from pipeline.train.loop import train
    from pipeline.train.recipe import load_train_recipe

    from .conftest import SMALL

    settings = [f"{key}={value}" for key, value in SMALL.items()]
    folder = tmp_path_factory.mktemp("finished")
    train(load_train_recipe("nano", settings, [str(shard_set)]), folder / "run", ALONE, stop_after=1)
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__shards": '["/nowhere"]'}, "/nowhere: no such file"),
        ({"model__vision": "{hidden_size: 65, num_attention_heads: 2}"}, "model"),
        ({"model__vision": "{hidden_sise: 64}"}, "hidden_sise: no such key"),
        ({"tokenizer__path": "/nowhere"}, "tokenizer.path|/nowhere"),
        ({"data__online_balancing": "true"}, "online_balancing"),
        ({"init_from": "/nowhere"}, "--init-from /nowhere"),
        ({"batch": 61}, "batch: found 61; at most the 60 samples|batch: its run has 16"),
    ],
    ids=lambda c: str(c),
)
def test_a_start_that_fails_changes_nothing(recipe, train, run, changes, message, force):
    """The fault: ``--force`` had removed the run by then, and without it ``recipe.yaml`` was another."""
    before, changes = content(run), dict(changes)
    init_from = changes.pop("init_from", None)
    with pytest.raises(UsageError, match=message):
        train(recipe(**changes), run, init_from=init_from, force=force)
    assert content(run) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed: its run has 0, the recipe 1"),
        ({"batch": 8}, "batch: its run has 16, the recipe 8"),
        ({"optimizer__lr": 0.1}, "optimizer.lr: .*--allow-changes"),
        ({"model__projection": 16}, "model.projection: found 16, the run in .* has 32"),
        ({"model__text": "{hidden_act: gelu}"}, "model.text.hidden_act: found 'gelu'"),
        ({"tokenizer__vocabulary": 500}, "tokenizer.vocabulary: its run has 400, the recipe 500"),
        ({"loss__name": "siglip"}, "loss.name: its run has 'clip'"),
        ({"data__shuffle_shards": 3}, "data.shuffle_shards: its run has 2"),
        ({"data__crop": "[0.5, 1.0]"}, "data.crop: its run has"),
    ],
    ids=lambda c: str(c),
)
def test_a_run_goes_on_with_its_own_recipe_alone(recipe, train, run, changes, message):
    before = content(run)
    with pytest.raises(UsageError, match=message):
        train(recipe(**changes), run)
    assert content(run) == before


@pytest.mark.parametrize("changes", [{"steps": 9}, {"log__every": 2}, {"data__workers": 1}, {"micro_batch": 8},
                                     {"data__max_broken": 0.5}, {"name": "other"}])  # fmt: skip
def test_what_changes_no_gradient_may_change(recipe, run, changes):
    assert prepare(recipe(**changes), run, ALONE).saved["step"] == 1


def test_changes_that_are_asked_for(recipe, run):
    assert prepare(recipe(optimizer__lr=0.1), run, ALONE, allow_changes=True).saved["step"] == 1
    with pytest.raises(UsageError, match="seed"):
        prepare(recipe(seed=1), run, ALONE, allow_changes=True)


@pytest.mark.parametrize("change", ["fewer", "more", "another size", "another name", "another order"])
def test_a_run_goes_on_with_its_own_shards_alone(recipe, shard_set, run, tmp_path, change):
    shards = shutil.copytree(shard_set, tmp_path / "shards")
    assert prepare(recipe(data__shards=f'["{shards}"]'), run, ALONE).saved["step"] == 1  # moved, and the same
    paths = [shards / f"{n:05d}.tar" for n in range(3)]
    if change == "fewer":
        paths.pop()
    elif change == "more":
        paths.append(write_tar(tmp_path / "x.tar", {"a.png": drawn("red", "cross"), "a.txt": b"x"}))
    elif change == "another size":
        paths[1].with_suffix(".parquet").unlink()
        paths[1].write_bytes(paths[1].read_bytes() + b"\0" * 512)
    elif change == "another name":
        paths[1] = paths[1].rename(shards / "00007.tar")
    else:
        paths.reverse()
    before = content(run)
    with pytest.raises(
        UsageError, match="data.shards: (its run has 3 shards, found|shard 1 of its run|shard 2 of its run)"
    ):
        prepare(recipe(data__shards=json.dumps([str(path) for path in paths])), run, ALONE)
    assert content(run) == before


def test_a_run_goes_on_with_its_own_tokenizer(recipe, train, tmp_path, finished):
    """The fault: without ``--init-from`` another tokenizer was trained, and exported with the model."""
    first = prepare(recipe(tokenizer__vocabulary=300), tmp_path / "other", ALONE)
    first.tokenizer.save_pretrained(tmp_path / "tokenizer")
    made = recipe(tokenizer__path=tmp_path / "tokenizer")
    train(made, tmp_path / "run", stop_after=1)
    shutil.rmtree(tmp_path / "tokenizer")
    again = prepare(made, tmp_path / "run", ALONE)
    assert again.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    shutil.rmtree(tmp_path / "run" / "tokenizer")
    shutil.copytree(finished / "tokenizer", tmp_path / "run" / "tokenizer")
    with pytest.raises(UsageError, match="is not the tokenizer that the run was started with"):
        prepare(made, tmp_path / "run", ALONE)


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
@pytest.mark.parametrize(
    "what", ["inputs", "inputs above", "inputs by a link", "other files", "curation's output", "a file", "its model"]
)
def test_no_folder_is_taken_that_is_not_a_runs(recipe, train, shard_set, run, tmp_path, what, force):
    """The fault: ``--shards mydata --output mydata --force`` removed the tars."""
    mine = shutil.copytree(shard_set, tmp_path / "mine" / "shards")
    shards, folder, init_from = mine, tmp_path / "mine", None
    if what == "inputs":
        folder = mine
    elif what == "inputs by a link":
        (tmp_path / "link").symlink_to(mine)
        folder = tmp_path / "link"
    elif what == "other files":
        folder = tmp_path / "other"
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "epoch_1.pt").write_bytes(b"open_clip's")
    elif what == "curation's output":
        folder = tmp_path / "curated"
        (folder / "pairs").mkdir(parents=True)
        (folder / "recipe.yaml").write_text("name: demo\ninput: {paths: [x]}\nbalance: {t: 20}\n")
    elif what == "a file":
        folder = tmp_path / "file"
        folder.write_text("mine")
    elif what == "its model":
        folder, init_from = run, str(run / "model")
        (run / "model").mkdir()
        (run / "model" / "config.json").write_text("{}")
    before = content(tmp_path)
    with pytest.raises(UsageError, match="--output .*(holds|not a folder)"):
        train(recipe(data__shards=f'["{shards}"]'), folder, init_from=init_from, force=force)
    assert content(tmp_path) == before


def test_force_removes_what_a_run_wrote_alone(recipe, run):
    (run / "notes.txt").write_text("mine")
    made = recipe(seed=5)
    prepare(made, run, ALONE, force=True).write(ALONE)
    assert (run / "notes.txt").read_text() == "mine"
    assert not (run / "checkpoints").exists()
    assert not (run / "metrics.jsonl").exists()
    assert run_folder.read_record(run).recipe["seed"] == 5
    assert prepare(made, run, ALONE).saved is None


def test_every_file_of_a_run_is_known_as_its(run):
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} <= set(run_folder.OURS)


@pytest.mark.slow
def test_processes_that_do_not_share_the_run_are_refused(recipe, finished, shard_set, tmp_path):
    """The fault: rank 0 went on at step 3, and rank 1 started at 0, with no error."""
    with served(shard_set) as server:
        start_apart(recipe, finished, shard_set, server.url, tmp_path)


def start_apart(recipe, finished, shard_set, url, tmp_path):
    one, other = recipe(), recipe(seed=1)
    braces, fewer, urls, turned = (
        recipe(data__shards=json.dumps([path + ".tar"]))
        for path in (f"{shard_set}/{{00000..00002}}", f"{shard_set}/{{00000..00001}}", url + "/{00000..00002}",
                     url + "/{00002,00001,00000}")
    )  # fmt: skip
    some = recipe(data__shards=f'["{shard_set / "00000.tar"}"]')
    wanted = {
        "fresh": ((one, one), "rank 1 does not see what rank 0 writes there"),
        "gone on": ((one, one), "rank 1 starts at step 0, rank 0 at step 1; recipe, --output"),
        "another run": ((one, one), "another run than rank 0"),
        "another recipe": ((one, other), "another recipe than rank 0"),
        "other shards": ((one, some), "another shards than rank 0"),
        "braces": ((braces, one), "rank 1 does not see what rank 0 writes there"),
        "other braces": ((braces, fewer), "another shards than rank 0"),
        "URLs": ((urls, urls), "rank 1 does not see what rank 0 writes there"),
        "other URLs": ((urls, turned), "another shards than rank 0"),
    }
    for case in ("gone on", "another run"):
        shutil.copytree(finished, tmp_path / case / "0")
    shutil.copytree(finished, tmp_path / "another run" / "1")
    record = json.loads((tmp_path / "another run" / "1" / "run.json").read_text())
    (tmp_path / "another run" / "1" / "run.json").write_text(json.dumps(record | {"id": "other"}))
    before, folders = content(tmp_path), sorted(tmp_path.rglob("*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Indexes are kept of URLs' tars, whatever comes of the run.
    roots = {case: tmp_path.with_name("urls") if "URLs" in case else tmp_path for case in wanted}
    cases = [(recipes, [roots[case] / case / rank for rank in "01"]) for case, (recipes, _) in wanted.items()]
    said = tmp_path.with_name("said")
    said.mkdir()
    torch.multiprocessing.spawn(start_with_own_folders, (port, cases, str(said)), nprocs=2)
    errors = [json.loads((said / str(rank)).read_text()) for rank in range(2)]
    for said_by_both, (_, message) in zip(zip(*errors, strict=True), wanted.values(), strict=True):
        assert all(message in error for error in said_by_both)
    assert content(tmp_path) == before
    assert {path for path in tmp_path.rglob("*") if path.parent != tmp_path} == {
        f for f in folders if f.parent != tmp_path
    }


def test_one_run_at_a_time_is_in_a_folder(recipe, train, run, monkeypatch):
    """The fault: a job that was started twice wrote over its own records, and removed its checkpoints."""
    from pipeline.lock import held
    from pipeline.train import agreement

    monkeypatch.setattr(agreement, "FREED_SECONDS", 0.3)
    with held(str(run)):
        before = content(run)
        for options in ({}, {"force": True}):
            with pytest.raises(UsageError, match=r"--output .*: another run is at work there \(process"):
                train(recipe(), run, **options)
        assert content(run) == before
    assert train(recipe(), run, stop_after=1)["step"] == 2
    # One that looked at the folder before another went on, or started, there.
    before = content(run)
    for step in (0, 1):
        with (
            pytest.raises(UsageError, match="another run went on there meanwhile; start again"),
            agreement.held_folder(run, ALONE, step),
        ):
            pass
    assert [entry for entry in content(run) if ".lock" not in entry[0]] == [e for e in before if ".lock" not in e[0]]
