"""What is compared: recipes with settings, what is refused before anything starts, and unequal compute."""

import json
import signal
from dataclasses import replace
from html import escape

import pyarrow as pa
import pytest

from pipeline.compare.comparison import Candidate, Comparison
from pipeline.compare.figures import check_compute, in_common, measures, spread, training_seconds
from pipeline.compare.page import page
from pipeline.compare.plots import plots
from pipeline.compare.runs import check_sizes, forget_other_runs, make_tokenizer, run_command
from pipeline.compare.table import overlap_table, rows_of, table
from pipeline.errors import PipelineError, UsageError
from pipeline.progress import results
from tests.buckets.written import write_table


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


@pytest.fixture
def comparison(tmp_path):
    pool, heldout = tmp_path / "pool.parquet", tmp_path / "heldout"
    pool.write_bytes(b"")
    (heldout / "cat").mkdir(parents=True)
    return Comparison(
        recipes=("metaclip-400m", "metaclip-2.5b"),
        pool=(str(pool),),
        output=tmp_path / "out",
        classification=(str(heldout),),
        settings=("images.root=.", "images.prefix=https://"),
    )


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


def write_run(folder, recipe, steps, batch):
    folder.mkdir(parents=True)
    lines = [{"step": s, "samples": s * batch, "samples_per_second": 50.0} for s in range(1, steps + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "run.json").write_text(json.dumps({"recipe": recipe.model_dump(mode="json")}))
    return folder


def test_trainings_of_other_compute_are_refused(comparison, tmp_path):
    comparison = replace(comparison, training=("steps=4", "batch=100"))
    recipe = comparison.train_recipe("seed=2", "data.shards=[x]", "tokenizer.path=y", "log.every=1")
    good = write_run(tmp_path / "good", recipe, 4, 100)
    check_compute(comparison, {"a": [good]})
    assert training_seconds(good) == pytest.approx(8.0)
    shorter = write_run(tmp_path / "shorter", recipe, 3, 100)
    other = write_run(tmp_path / "other", comparison.train_recipe("optimizer.lr=0.1"), 4, 100)
    for run in (shorter, other):
        with pytest.raises(PipelineError, match=f"{run}: was trained with other compute"):
            check_compute(comparison, {"a": [good], "b": [run]})


def write_set(folder, ids):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "shards").mkdir(parents=True)
    (folder / "shards" / "manifest.json").write_text(json.dumps({"samples": len(ids)}))
    pq.write_table(pa.table({"pair_id": pa.array(ids, pa.int64())}), folder / "shards" / "00000.parquet")
    return folder


def test_sets_and_what_they_have_in_common(comparison, tmp_path):
    sets = {
        "a": write_set(tmp_path / "a", [5, -1, 2, 9]),
        "b": write_set(tmp_path / "b", [2, 7]),
        "c": write_set(tmp_path / "c", []),
    }
    assert in_common(sets) == {
        "a": {"a": 1.0, "b": 0.25, "c": 0.0}, "b": {"a": 0.5, "b": 1.0, "c": 0.0}, "c": {"a": 0.0, "b": 0.0, "c": 1.0},
    }  # fmt: skip
    with pytest.raises(UsageError, match="b: 2 samples are less than a batch of 3"):
        check_sizes(replace(comparison, training=("batch=3",)), sets)


EVALUATION = {
    "classification": {
        "web": {"mean_class_recall": 0.3, "top_1": {"value": 0.31}, "top_5": {"value": 0.5},
                "groups": {"head": {"classes": 2, "mean_class_recall": 0.9}, "tail": {"classes": 9, "mean_class_recall": 0.1}}},
    },
    "retrieval": {"all": {way: {"recall@1": {"value": 0.2}} for way in ("text_to_image", "image_to_text")}},
}  # fmt: skip


def test_report_and_page(comparison):
    found = measures(EVALUATION)
    assert list(found) == ["web: mean class recall", "web: head", "web: tail", "web: top-1", "web: top-5",
                           "text to image: recall@1", "image to text: recall@1"]  # fmt: skip
    assert spread([1.0]) == {"mean": 1.0, "deviation": None, "values": [1.0]}
    assert spread([1.0, 3.0])["deviation"] == pytest.approx(2**0.5)
    hostile = '"><script>alert(1)</script>'
    line = {"pairs": 9, "samples_seen": 90, "unique_samples_seen": 9, "repeats": 10.0, "curation_seconds": 1.0,
            "training_seconds": spread([1.0, 2.0]), "measures": {name: spread([value] * 2) for name, value in found.items()}}  # fmt: skip
    report = {**comparison.told(), "scale": "nano", "seeds": 2, "recipes": {"none": line, hostile: line},
              "in_common": {label: {"none": 1.0, hostile: 1.0} for label in ("none", hostile)}}  # fmt: skip
    assert ("web: tail, %", ["10.0 ± 0.0"] * 2) in rows_of(report)
    drawn = plots(report)
    assert drawn["measures.png"].startswith(b"\x89PNG")
    text = page(report, drawn).decode()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "2 seeds." in text


@pytest.mark.parametrize("name", [r"$\frac$ web", "[/b] web", "[red]web", "猫 $", "a_b^c$x", "<b>&amp;"])
def test_names_of_data_sets_are_shown_as_they_are(comparison, name, capsys):
    """In the plot, which knows formulas, the terminal's table, which knows styles, and the page."""
    line = {"pairs": 9, "samples_seen": 90, "unique_samples_seen": 9, "repeats": 10.0, "curation_seconds": 1.0,
            "training_seconds": spread([1.0]), "measures": {name: spread([0.5])}}  # fmt: skip
    report = {**comparison.told(), "scale": name, "seeds": 1, "recipes": {name: line}, "in_common": {name: {name: 1.0}}}
    drawn = plots(report)
    results.print(table(report))
    results.print(overlap_table(report))
    said = capsys.readouterr().out
    assert f"{name}, %" in said
    assert f"{name}, 1 seed: mean" in said
    assert f'<th scope="row">{escape(name)}, %</th><td>50.0</td>' in page(report, drawn).decode()


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
