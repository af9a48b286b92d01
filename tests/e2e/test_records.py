"""Recipe, records and manifest belong to the tables beside them, whichever command was run, refused or failed."""

import json
import os
import shutil

import pytest

from pipeline import record
from pipeline.entries.lists import list_digests
from pipeline.errors import UsageError
from pipeline.explore import explore
from pipeline.language.identify import LID_176, model_file
from pipeline.recipe import load_recipe
from tests.e2e.conftest import digests, run, stage
from tests.pool import write_pool


def everything(output):
    """The content of all files but the lock, and the events, which say of a run that failed that it did."""
    names = (".lock", "events.jsonl")
    return {file: file.read_bytes() for file in output.rglob("*") if file.is_file() and file.name not in names}


def skipped(summary):
    return [line["stage"] for line in summary["stages"] if line["skipped"]]


def listed(output):
    """The folders in the manifest."""
    lines = json.loads((output / "manifest.json").read_text())["files"]
    return list(dict.fromkeys(line["path"].split("/")[0] for line in lines))


def recipe_of(output):
    return load_recipe(str(output / "recipe.yaml"))


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


@pytest.fixture
def no_images(work, tmp_path):
    """The recipe without its section images."""
    lines = (work / "recipe.yaml").read_text().splitlines(True)
    (tmp_path / "no-images.yaml").write_text("".join(line for line in lines if not line.startswith("images")))
    return tmp_path / "no-images.yaml"


OF_ANOTHER = [
    ("dedupe", ["seed=8"], "matched is of seed 7, the recipe says 8; run the stage match first"),
    ("balance", ["seed=8"], "matched is of seed 7, the recipe says 8; run the stage match first"),
    ("balance", ["match.form=metaclip1"], "matched is of match.form metaclip2, the recipe says metaclip1; run the stage match first"),
    ("balance", ["dedupe.scope=none"], "clusters is of dedupe.scope text, the recipe says none; run the stage dedupe first"),
    ("match", ["language.threshold=0.5"], "pairs is of language.threshold 0.0, the recipe says 0.5; run the stage ingest first"),
    ("balance", ["input.preset=laion"], "matched is of input.preset nothing, the recipe says laion; run the stage ingest first"),
    ("shards", ["seed=8"], "curated are of seed 7, the recipe says 8; run the stage match first"),
    ("shards", ["balance.t=3"], "entry_counts, thresholds, curated are of balance.t 12.0, the recipe says 3.0; run the stage balance first"),
    ("shards", ["filter.min_words=2"], "no finished filtered, image_hashes; run the stage filter first"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "said"), OF_ANOTHER, ids=lambda value: str(value)[:40])
def test_a_stage_alone_reads_no_tables_of_another_recipe(finished, work, name, settings, said):
    before = everything(finished)
    for source in (None, str(finished)):
        with pytest.raises(UsageError) as error:
            run(work / "recipe.yaml", finished, *settings, stages=[name], source=source)
        assert str(error.value).startswith(f"--input {finished}: ")
        assert str(error.value).endswith(said)
    assert everything(finished) == before


def test_nor_those_of_other_lists(finished, work, tmp_path):
    """Their content counts, and not what they are called; where a stage alone has none, it does without."""
    recipe = work / "recipe.yaml"
    lists = shutil.copytree(work / "entries", tmp_path / "lists")
    assert list_digests(load_recipe(str(recipe))) == list_digests(load_recipe(str(recipe), [f"entries={lists}"]))
    (lists / "de.txt").write_text("hund\n")
    with pytest.raises(UsageError, match=r"matched is of entries\.de sha256:\w+…?, the recipe says sha256:"):
        run(recipe, finished, f"entries={lists}", stages=["balance"])
    with pytest.raises(UsageError, match=r"matched is of entries\.de"):
        explore(load_recipe(str(recipe), [f"entries={lists}"]), str(tmp_path / "what-if"), str(finished), None, 0.0)
    assert not (tmp_path / "what-if").exists()
    run(recipe, tmp_path / "out", f"entries={tmp_path / 'none'}", stages=["dedupe"], source=str(finished))
    assert digests(tmp_path / "out", "clusters") == digests(finished, "clusters")


def test_what_if_reads_no_tables_of_another_recipe(finished, work, tmp_path):
    for setting, said in (
        ("seed=8", "matched is of seed 7"),
        ("dedupe.scope=none", "clusters is of dedupe.scope text"),
    ):
        with pytest.raises(UsageError, match=said):
            explore(load_recipe(str(work / "recipe.yaml"), [setting]), str(tmp_path / "x"), str(finished), [3.0], 0.0)


def test_tables_of_two_outputs_are_of_one_pool(finished, work, tmp_path):
    """`dedupe` and `balance` from A into B: B's clusters, which are of A's pairs; and not of those of C."""
    settings, other = ["dedupe.threshold=0.9", "balance.t=5"], tmp_path / "B"
    for name in ("dedupe", "balance"):
        summary = run(work / "recipe.yaml", other, *settings, stages=[name], source=str(finished))
    made = record.load(str(other), "balance")
    assert made.before["dedupe"]["fingerprint"] == record.load(str(other), "dedupe").fingerprint
    assert made.before["match"]["fingerprint"] == record.load(str(finished), "match").fingerprint
    assert stage(summary, "balance")["in"] == record.load(str(other), "dedupe").rows_out
    assert not (other / "manifest.json").exists()
    assert "clusters" in (other / "README.md").read_text()
    # The recipe there tells the pool that the tables are of, though a stage alone is not given it.
    assert recipe_of(other).input.paths == recipe_of(finished).input.paths
    run(work / "recipe.yaml", tmp_path / "C", inputs=[str(write_pool(tmp_path / "pool", count=50))], stages=["ingest"])
    run(work / "recipe.yaml", tmp_path / "C", stages=["match"])
    before = everything(other)
    with pytest.raises(UsageError, match=r"clusters is of other pairs; run the stage dedupe first"):
        run(work / "recipe.yaml", other, *settings, stages=["balance"], source=str(tmp_path / "C"))
    assert everything(other) == before


def test_a_run_that_is_refused_or_fails_leaves_what_the_output_says(copy, work):
    before = everything(copy)
    with pytest.raises(UsageError, match="no such folder"):
        run(work / "recipe.yaml", copy, "images.root=/none")
    with pytest.raises(UsageError, match="no column nose"):  # while the stage runs
        run(work / "recipe.yaml", copy, "shards.blur=nose")
    shutil.rmtree(copy / ".staging")
    assert everything(copy) == before
    with pytest.raises(UsageError, match="no column nose"):  # after balance was finished
        run(work / "recipe.yaml", copy, "balance.t=5", "shards.blur=nose")
    assert recipe_of(copy).balance.t == 5
    left = {file.name for file in copy.iterdir()}
    assert not left & {"manifest.json", "README.md", "croissant.json", "summary.json", "distribution.png", "shards"}
    assert record.load(str(copy), "balance").depends["balance"]["t"] == 5
    assert skipped(run(work / "recipe.yaml", copy, "balance.t=5")) == ["ingest", "match", "dedupe", "balance"]
    assert listed(copy)[-1] == "shards"


def test_what_a_recipe_no_longer_has_is_not_listed(copy, finished, work, no_images, capsys):
    summary = run(no_images, copy)
    assert skipped(summary) == ["ingest", "match", "dedupe", "balance"]
    assert "Nothing to do" not in capsys.readouterr().out
    assert listed(copy) == [folder for folder in listed(finished) if folder != "shards"]
    assert recipe_of(copy).images.root is None
    assert "shards" not in (copy / "README.md").read_text()
    assert [line["stage"] for line in json.loads((copy / "summary.json").read_text())["stages"]] == skipped(summary)
    # Its tables stay, and it may have them again.
    assert digests(copy, "shards") == digests(finished, "shards")
    before = everything(copy)
    run(no_images, copy)
    assert everything(copy) == before
    assert "Nothing to do" in capsys.readouterr().out
    assert skipped(run(work / "recipe.yaml", copy))[-1] == "shards"
    different = {file.name for file in everything(copy) if everything(copy)[file] != before.get(file)}
    said = {"manifest.json", "README.md", "croissant.json", "recipe.yaml"}
    assert different <= said | {"summary.json", "distribution.png", "report.html", ".described.json"}
    for name in said:
        assert (copy / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.slow
def test_a_filter_that_is_taken_away_stays_for_another_time(copy, finished, work):
    recipe = work / "recipe.yaml"
    run(recipe, copy, "filter.min_words=3")
    assert listed(copy)[-3:] == ["filtered", "image_hashes", "shards"]
    filtered = digests(copy, "filtered", "shards")
    assert skipped(run(recipe, copy)) == ["ingest", "match", "dedupe", "balance"]
    assert listed(copy) == listed(finished)
    assert digests(copy, "shards") == digests(finished, "shards")
    assert skipped(run(recipe, copy, "filter.min_words=3"))[-1] == "filter"
    assert digests(copy, "filtered", "shards") == filtered


def test_what_changes_no_table_is_in_the_recipe_all_the_same(copy, work):
    manifest = (copy / "manifest.json").read_bytes()
    summary = run(work / "recipe.yaml", copy, "match.engine=reference", "language.model=/none", "credit=ours")
    assert len(skipped(summary)) == len(summary["stages"]) == 5
    assert recipe_of(copy).match.engine == "reference"
    assert "ours" in (copy / "README.md").read_text()
    assert (copy / "manifest.json").read_bytes() == manifest


def test_a_stage_alone_does_not_put_its_recipe_beside_tables_of_another(copy, work):
    before = everything(copy)
    assert skipped(run(work / "recipe.yaml", copy, "balance.t=5", "shards.samples=9", stages=["match"])) == ["match"]
    assert everything(copy) == before


def test_files_that_are_gone_come_back(copy, work):
    """Each of those that say what is there, lost as by a kill."""
    before = everything(copy)
    for name in ("manifest.json", "README.md", "croissant.json", "recipe.yaml"):
        (copy / name).unlink()
        assert len(skipped(run(work / "recipe.yaml", copy))) == 5
        assert {file for file, content in everything(copy).items() if content != before.get(file)} <= {
            copy / "summary.json",
            copy / ".described.json",
        }


def test_a_plot_that_is_gone_comes_back_in_a_set_that_is_not_finished(copy, work):
    """The fault: killed between the recipe and the plot, a stage alone never had one."""
    run(work / "recipe.yaml", copy, stages=["balance"], force=True)
    plot = (copy / "distribution.png").read_bytes()
    (copy / "distribution.png").unlink()
    run(work / "recipe.yaml", copy, stages=["balance"])
    assert (copy / "distribution.png").read_bytes() == plot


def test_a_model_of_ones_own_is_known_by_its_file(work, tmp_path):
    (tmp_path / "in.tsv").write_text("url\ttext\nhttp://x/1\ta photo of a cat\n")
    model = shutil.copy(model_file(LID_176), tmp_path / "own.ftz")
    settings = ["language.identify=fasttext", f"language.model={model}"]

    def again():
        inputs = [str(tmp_path / "in.tsv")]
        return skipped(run(work / "recipe.yaml", tmp_path / "out", *settings, inputs=inputs, stages=["ingest"]))

    assert again() == []
    assert again() == ["ingest"]
    os.utime(model, (1, 1))
    assert again() == []


@pytest.mark.parametrize(
    "change",
    [
        {"version": record.VERSION - 1},
        {"version": None},
        {"depends": None},
        {"notes": None},
        {"colour": "red"},
        "[]",
        "7",
        "null",
        '{"stage": "match"',
    ],
    ids=str,
)
def test_a_record_of_another_shape_is_none(tmp_path, change):
    """As versions before and after this one may leave them; None here is a key that is not there."""
    good = record.Record("match", "f", {"seed": 7}, {}, 1, 1, {}, 0.1)
    record.save(str(tmp_path), good)
    assert record.load(str(tmp_path), "match") == good
    file = tmp_path / record.FOLDER / "match.json"
    if isinstance(change, dict):
        changed = json.loads(file.read_text()) | change
        change = json.dumps({key: value for key, value in changed.items() if value is not None})
    file.write_text(change)
    assert record.load(str(tmp_path), "match") is None
