"""What is compared: recipes with settings, what is refused before anything starts, and unequal compute."""

import json
from dataclasses import replace

import pytest

from pipeline.compare.comparison import Candidate, Comparison
from pipeline.compare.figures import check_compute, in_common, measures, spread, training_seconds
from pipeline.compare.page import page
from pipeline.compare.plots import plots
from pipeline.compare.runs import check_sizes
from pipeline.compare.table import rows_of
from pipeline.errors import PipelineError, UsageError


@pytest.mark.parametrize(
    ("text", "label", "settings"),
    [
        ("none", "none", ()),
        ("metaclip-400m:balance.t=20", "metaclip-400m-t-20", ("balance.t=20",)),
        ("a/b c.yaml", "b-c", ()),
        ("x:language.keep=[en, de],balance.t=5", "x-keep-en-de-t-5", ("language.keep=[en, de]", "balance.t=5")),
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
    heldout.mkdir()
    return Comparison(
        recipes=("metaclip-400m", "metaclip-2.5b"),
        pool=(str(pool),),
        output=tmp_path / "out",
        classification=(str(heldout),),
    )


WRONG = {
    "one": (dict(recipes=("metaclip-400m",)), "--recipes: two or more are compared, found 1"),
    "twice": (dict(recipes=("metaclip-400m", "metaclip-400m")), "--recipes: metaclip-400m is given twice"),
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
    comparison.start(force=False)
    other = replace(comparison, **change)
    if key is None:
        other.start(force=False)
    else:
        with pytest.raises(UsageError, match=f"another {key}"):
            other.start(force=False)
        other.start(force=True)


def test_an_output_of_something_else_is_refused(comparison):
    comparison.output.mkdir()
    (comparison.output / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="not empty, and no comparison"):
        comparison.start(force=True)


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
