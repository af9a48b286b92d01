"""What is compared: recipes with settings, what is refused before anything starts, and unequal compute."""

import json
import signal
from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.compare.comparison import Candidate
from pipeline.compare.runs import forget_other_runs, make_tokenizer, run_command
from pipeline.errors import PipelineError, UsageError
from tests.buckets.written import write_table
from tests.compare.written import write_set


@pytest.mark.parametrize(
    ("text", "label", "settings"),
    [
        ("none", "none", ()),
        ("metaclip-400m:balance.t=20", "metaclip-400m-t-20", ("balance.t=20",)),
        ("a/b c.yaml", "b-c", ()),
        ("x:language.keep=[en, de],balance.t=5", "x-keep-en-de-t-5", ("language.keep=[en, de]", "balance.t=5")),
        ("x:balance.tail_share=0.06", "x-tail_share-0.06", ("balance.tail_share=0.06",)),
        ("x:filter.evaluation={}", "x-evaluation", ("filter.evaluation={}",)),
        ("a/猫.yaml", "猫", ()),
        ("рецепт.yml:seed=3", "рецепт-seed-3", ("seed=3",)),
        ("...yaml", "recipe", ()),
        ("'\"><b>.yaml", "b", ()),
    ],
)
def test_candidates(text, label, settings):
    found = Candidate.of(text)
    assert (found.label, found.settings) == (label, settings)
    assert text.startswith(found.recipe)


WRONG = {
    "one": (dict(recipes=("metaclip-400m",)), "--recipes: two or more are compared, found 1"),
    "twice": (dict(recipes=("metaclip-400m", "metaclip-400m")), "--recipes: metaclip-400m is given twice"),
    "one name": (
        dict(recipes=("a/mine.yaml", "b/Mine.yaml")),
        "--recipes: a/mine.yaml and b/Mine.yaml have one name, Mine; give recipes that are told apart by file name",
    ),
    "one key": (
        dict(recipes=("metaclip:balance.t=5", "metaclip:rebalance.t=5")),
        "metaclip:balance.t=5 and metaclip:rebalance.t=5 have one name, metaclip-t-5",
    ),
    "no images": (dict(settings=()), "--recipes metaclip-400m: has no images, which a model is trained on"),
    "folder": (
        dict(recipes=("none", "metaclip-400m:shards.folder=s3://x/y")),
        "--recipes metaclip-400m-folder-s3-x-y: shards.folder: the shards of each recipe go into its own set",
    ),
    "no data set": (dict(classification=("cluster",)), "--classification cluster: neither classnames.txt with tars"),
    "data set by URL": (dict(classification=("s3://bucket/set",)), "--classification s3://bucket/set: a URL; a folder"),
    "no tars": (dict(retrieval=("docs",)), "--retrieval: docs: a folder without .tar files"),
    "unknown": (dict(recipes=("metaclip-400m", "nope")), "--recipe nope: no such file; bundled recipes: "),
    "setting": (dict(recipes=("metaclip-400m", "metaclip-400m:balance.x=1")), "balance.x: no such key"),
    "no evaluation": (dict(classification=()), "--classification, --retrieval: give at least one of them"),
    "no pool": (dict(pool=("nowhere.parquet",)), "--pool nowhere.parquet: no such file or folder"),
    "no set": (dict(retrieval=("nowhere",)), "--retrieval nowhere: no such file or folder"),
    "scale": (dict(scale="nope"), "--recipe nope: no such file; bundled recipes: align, "),
    "seed": (dict(training=("seed=3",)), "--set-training seed=3: is set for each training"),
    "epochs": (dict(training=("steps=null", "epochs=3")), "--scale nano: compute is equal by steps, found epochs"),
    "random as": (dict(random_as="nope"), "--random-as nope: allowed: metaclip-400m, metaclip-2.5b"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_anything_starts(comparison, case):
    change, said = WRONG[case]
    with pytest.raises(UsageError) as error:
        found = replace(comparison, **change)
        found.check()
        found.reference()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not comparison.output.exists()


def test_an_output_that_holds_the_pool_is_refused(comparison, tmp_path):
    with pytest.raises(UsageError, match="which --pool names"):
        replace(comparison, output=tmp_path).check()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (dict(training=("steps=5",)), "training"),
        (dict(scale="micro"), "training"),
        (dict(classification=("elsewhere",)), "classification"),
        (dict(settings=("seed=3",)), "settings"),
        (dict(seeds=5), None),
        (dict(recipes=("metaclip-400m", "demo")), None),
    ],
)
def test_unequal_compute_is_refused(comparison, change, key):
    """More seeds and more recipes go on with what is there; another training, pool or evaluation does not."""
    comparison.output.mkdir()
    comparison.start()
    kept = [comparison.output / name for name in ("runs/a/seed-0/evaluation.json", "tokenizer/tokenizer.json")]
    for file in kept:
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    other = replace(comparison, **change)
    if key is not None:
        with pytest.raises(UsageError, match=f"another {key}"):
            other.refuse(force=False)
        other.refuse(force=True)
    else:
        other.refuse(force=False)
    other.start()  # what was trained and measured for another comparison goes, wherever this one will be ended
    assert [file.exists() for file in kept] == [key is None] * 2
    other.refuse(force=False)


def test_an_output_of_something_else_is_refused(comparison):
    comparison.output.mkdir()
    (comparison.output / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="not empty, and no comparison"):
        comparison.refuse(force=True)
    (comparison.output / "mine.txt").rename(comparison.output / ".lock")
    comparison.refuse(force=False)  # ended before it wrote anything
    file = replace(comparison, output=comparison.output / ".lock")
    with pytest.raises(UsageError, match="not empty, and no comparison"):
        file.refuse(force=False)


def test_trainings_on_another_set_go(comparison, tmp_path):
    """A recipe file that was edited, or another one of its name, keeps its folder: not its trainings."""
    folder = write_set(tmp_path / "set", [1, 2])
    forget_other_runs(comparison, "mine", folder)
    run = comparison.output / "runs/mine/seed-0"
    run.mkdir()
    forget_other_runs(comparison, "mine", folder)
    assert run.exists()
    (folder / "shards/manifest.json").write_text(json.dumps({"samples": 3}))
    forget_other_runs(comparison, "mine", folder)
    assert not run.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_is_stopped_once(number):
    """Who runs a command passes a signal on to it, waits until it has ended by itself, and says that it was stopped."""
    command = (
        "import os, signal, time\n"
        "got = []\n"
        "for n in (2, 15): signal.signal(n, lambda n, _: got.append(n))\n"
        "os.kill(os.getppid(), %d)\n"
        "until = time.monotonic() + 1\n"
        "while time.monotonic() < until: time.sleep(0.05)\n"
        "raise SystemExit(0 if got == [%d] else 7)\n"
    )
    before = signal.getsignal(number)
    with pytest.raises(PipelineError, match="training x was stopped; the same command goes on from here"):
        run_command(["-c", command % (number, number)], "training x")
    assert signal.getsignal(number) is before
    with pytest.raises(PipelineError, match=r"training x failed \(exit code 7\); the same command goes on"):
        run_command(["-c", "raise SystemExit(7)"], "training x")


def test_a_tokenizer_is_trained_anew_where_it_is_asked_for(comparison, tmp_path):
    """Parts of one that was ended are no tokenizer."""
    folder = write_set(tmp_path / "set", [1, 2])
    write_table(
        folder / "pairs", pa.table({"pair_id": range(40), "text": [f"a text of {n} words" for n in range(40)]}), 2
    )
    comparison = replace(comparison, training=("tokenizer.vocabulary=300",))
    (comparison.output / "tokenizer").mkdir(parents=True)
    (comparison.output / "tokenizer/vocab.json").write_text("{")
    (comparison.output / "tokenizer.part").mkdir()
    made = make_tokenizer(comparison, {"a": folder})
    before = (made / "tokenizer.json").stat().st_mtime_ns
    assert not (made / "vocab.json").exists() or (made / "vocab.json").read_text() != "{"
    assert (make_tokenizer(comparison, {"a": folder}) / "tokenizer.json").stat().st_mtime_ns == before
    assert (make_tokenizer(comparison, {"a": folder}, force=True) / "tokenizer.json").stat().st_mtime_ns > before


def test_keys_of_urls_are_not_written(comparison):
    comparison = replace(
        comparison, pool=("s3://bucket/pool?access_key=abc&region=x",), settings=("input.x=https://u:pw@h/",)
    )
    told = json.dumps(comparison.told())
    assert "abc" not in told
    assert "pw" not in told
    assert "bucket/pool" in told


def test_recipes_are_words_as_in_a_shell(tmp_path, capsys, monkeypatch):
    """A file with spaces is given in quotes; quotes that are open are said to be."""
    from pipeline.command.compare import app
    from pipeline.job import run

    (tmp_path / "my recipe.yaml").write_text("name: mine\n")
    (tmp_path / "pool.parquet").write_bytes(b"")
    for recipes, said in (
        (f"none '{tmp_path}/my recipe.yaml'", "recipe " + str(tmp_path / "my recipe.yaml") + ": entries: missing"),
        ("none 'my recipe.yaml", "--recipes none 'my recipe.yaml: No closing quotation"),
    ):
        options = ["--pool", str(tmp_path / "pool.parquet"), "--output", str(tmp_path / "out"), "--retrieval", "docs"]
        options += ["--set", "images.fetch=true"]
        monkeypatch.setattr("sys.argv", ["compare", "--recipes", recipes, *options])
        with pytest.raises(SystemExit) as ended:
            run(app)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
