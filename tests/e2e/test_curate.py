"""One command from a pool to a curated set."""

import hashlib
import json
import shutil
from collections import Counter

import pyarrow.parquet as pq
import pytest
import webdataset as wds
import yaml

from pipeline.errors import PipelineError, UsageError
from pipeline.tables import CLUSTERS, CURATED, ENTRY_COUNTS, MATCHED, PAIRS, THRESHOLDS
from tests.e2e.conftest import check, digests, run, table
from tests.pool import write_pool

TABLES = ("pairs", "matched", "clusters", "entry_counts", "thresholds", "curated")


def test_tables_have_their_schemas(finished, spark):
    for name, schema in {"pairs": PAIRS, "matched": MATCHED, "clusters": CLUSTERS, "curated": CURATED}.items():
        found = spark.read.parquet(str(finished / name)).schema
        assert [(f.name, f.dataType) for f in found] == [(f.name, f.dataType) for f in schema], name
    assert table(finished, "entry_counts").schema.equals(ENTRY_COUNTS)
    assert table(finished, "thresholds").schema.equals(THRESHOLDS)
    kept = Counter(
        (row["entry_list"], entry) for row in table(finished, "curated").to_pylist() for entry in row["entries"]
    )
    found = {(row["entry_list"], row["entry_id"]): row["kept"] for row in table(finished, "entry_counts").to_pylist()}
    assert {key: rows for key, rows in found.items() if rows} == kept
    rows = Counter(table(finished, "curated")["entry_list"].to_pylist())
    assert {row["entry_list"]: row["kept"] for row in table(finished, "thresholds").to_pylist() if row["kept"]} == rows


def test_an_independent_recount_agrees(finished, shared):
    print(check(shared, finished))


def test_every_row_is_accounted_for(finished):
    summary = json.loads((finished / "summary.json").read_text())
    lines = {line["stage"]: line for line in summary["stages"]}
    assert list(lines) == ["ingest", "match", "dedupe", "balance", "shards"]
    for line in lines.values():
        assert line["in"] == line["out"] + sum(line["dropped"].values())
    for before, after in zip(list(lines.values()), list(lines.values())[1:], strict=False):
        assert before["out"] == after["in"]
    assert lines["ingest"]["dropped"]["duplicate"] > 50
    assert lines["match"]["dropped"]["no_entry_list"] > 50
    assert lines["dedupe"]["dropped"]["near_duplicate"] > 50
    assert lines["balance"]["dropped"]["not_drawn"] > 50
    assert set(lines["shards"]["dropped"]) == {"missing_image", "unreadable_image"}
    assert table(finished, "pairs")["copies"].to_numpy().sum() == lines["ingest"]["in"]


def test_the_events_say_what_the_summary_says(finished):
    events = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    stages = json.loads((finished / "summary.json").read_text())["stages"]
    assert len({line["run"] for line in events}) == 1
    assert [line["time"] for line in events] == sorted(line["time"] for line in events)
    order = [(line["event"], line.get("stage")) for line in events]
    both = [(event, line["stage"]) for line in stages for event in ("stage_started", "stage_ended")]
    assert order == [("run_started", None), *both, ("run_ended", None)]
    ended = {line["stage"]: line for line in events if line["event"] == "stage_ended"}
    files = json.loads((finished / "manifest.json").read_text())["files"]
    for line in stages:
        event = ended[line["stage"]]
        assert [event[key] for key in ("rows_in", "dropped", "rows_out")] == [line["in"], line["dropped"], line["out"]]
        assert event["seconds"] == line["seconds"]
    assert sum(event["bytes"] for event in ended.values()) == sum(line["bytes"] for line in files)
    assert sum(event["files"] for event in ended.values()) == len(files)


def test_the_forecast_is_what_the_run_did(finished, work):
    """Of an input that is looked at whole: rows by reason exactly, what is drawn and written nearly."""
    from pipeline.plan.forecast import forecast
    from pipeline.recipe import load_recipe

    found = forecast(load_recipe(str(work / "recipe.yaml")))
    stages = {line["stage"]: line for line in json.loads((finished / "summary.json").read_text())["stages"]}
    assert [one.name for one in found.stages] == list(stages)
    for one in found.stages[:3]:
        line = stages[one.name]
        assert (round(one.rows_in), round(one.rows_out)) == (line["in"], line["out"])
        assert {reason: round(rows) for reason, rows in one.dropped.items() if round(rows)} == line["dropped"]
    for one in found.stages[3:]:
        assert one.rows_out == pytest.approx(stages[one.name]["out"], rel=0.1)
    sizes = {}
    for line in json.loads((finished / "manifest.json").read_text())["files"]:
        name = line["path"].split("/")[0]
        sizes[name] = sizes.get(name, 0) + line["bytes"]
    assert found.stages[-1].stays == pytest.approx(sizes["shards"], rel=0.2)


def test_the_manifest_lists_every_file(finished):
    manifest = json.loads((finished / "manifest.json").read_text())
    listed = {line["path"]: line for line in manifest["files"]}
    assert {path: line["sha256"] for path, line in listed.items()} == digests(finished, *TABLES, "shards")
    for path, line in listed.items():
        content = (finished / path).read_bytes()
        assert line["bytes"] == len(content)
        assert line["sha256"] == hashlib.sha256(content).hexdigest()
        if path.endswith(".parquet"):
            assert line["rows"] == pq.read_metadata(finished / path).num_rows


def test_the_output_tells_of_itself(finished):
    assert yaml.safe_load((finished / "recipe.yaml").read_text())["seed"] == 7
    assert "| balance |" in (finished / "README.md").read_text()
    assert (finished / "distribution.png").read_bytes().startswith(b"\x89PNG")
    assert not (finished / ".staging").exists()


def test_shards_are_webdataset(finished):
    sizes = json.loads((finished / "shards" / "sizes.json").read_text())
    manifest = json.loads((finished / "shards" / "manifest.json").read_text())
    curated = {line["pair_id"] % 2**64: line for line in table(finished, "curated").to_pylist()}
    assert list(sizes) == [f"{i:05d}.tar" for i in range(len(sizes))]
    assert len(sizes) == -(-len(curated) // 100)
    keys = []
    for name, samples in sizes.items():
        found = list(wds.WebDataset([str(finished / "shards" / name)], shardshuffle=False))
        assert len(found) == samples
        for sample in found:
            row = curated[int(sample["__key__"], 16)]
            assert sample["txt"].decode() == row["text"]
            assert json.loads(sample["json"])["keep_probability"] == row["keep_probability"]
        keys += [sample["__key__"] for sample in found]
    assert keys == sorted(set(keys))
    assert manifest["samples"] == len(keys)


def test_the_second_time_nothing_is_done(finished, work, capsys):
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*") if file.is_file()}
    summary = run(work / "recipe.yaml", finished)
    assert all(line["skipped"] for line in summary["stages"])
    assert "Nothing to do" in capsys.readouterr().out
    after = {file: file.stat().st_mtime_ns for file in finished.rglob("*") if file.is_file()}
    assert {f for f in after if after[f] != before.get(f)} == {finished / ".lock"}


def test_a_changed_recipe_redoes_what_it_changes(finished, work, tmp_path, shared):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    skipped = lambda summary: [line["stage"] for line in summary["stages"] if line["skipped"]]  # noqa: E731
    assert skipped(run(work / "recipe.yaml", copy, "balance.t=5")) == ["ingest", "match", "dedupe"]
    check(shared, copy)
    assert table(copy, "curated").num_rows < table(finished, "curated").num_rows
    assert skipped(run(work / "recipe.yaml", copy, "balance.t=5", "shards.samples=50")) == [
        "ingest",
        "match",
        "dedupe",
        "balance",
    ]
    assert skipped(run(work / "recipe.yaml", copy, "dedupe.keep_per_cluster=2")) == ["ingest", "match"]
    check(shared, copy)
    assert skipped(run(work / "recipe.yaml", copy, force=True)) == []
    assert digests(copy, "curated", "shards") == digests(finished, "curated", "shards")


def test_each_stage_alone_in_folders_of_its_own(finished, work, tmp_path):
    source = None
    for name in ("ingest", "match", "dedupe"):
        run(work / "recipe.yaml", tmp_path / name, stages=[name], source=source and str(tmp_path / source))
        source = name
        shutil.copytree(tmp_path / name, tmp_path / "all", dirs_exist_ok=True)
    run(work / "recipe.yaml", tmp_path / "all", stages=["balance"])
    run(work / "recipe.yaml", tmp_path / "all", stages=["shards"])
    assert digests(tmp_path / "all", "curated", "shards") == digests(finished, "curated", "shards")
    with pytest.raises(UsageError, match=r"no finished pairs; run the stage ingest first"):
        run(work / "recipe.yaml", tmp_path / "none", stages=["match"])


def test_rows_that_do_not_add_up_fail_the_run(work, tmp_path, monkeypatch):
    from dataclasses import replace

    from pipeline import stages
    from pipeline.match import stage as match

    def lossy(stage_run):
        account, notes = match.run(stage_run)
        account.rows_out -= 1
        return account, notes

    lossy_match = replace(match.STAGE, run=lossy)
    monkeypatch.setattr(stages, "STAGES", tuple(lossy_match if s is match.STAGE else s for s in stages.STAGES))
    with pytest.raises(PipelineError, match="rows are lost or doubled"):
        run(work / "recipe.yaml", tmp_path / "out")
    assert (tmp_path / "out" / "pairs").exists()
    assert not (tmp_path / "out" / "matched").exists()


def test_the_named_source_comes_before_what_is_there(finished, work, tmp_path):
    """`--input` of a stage alone is where its tables come from, even if the output has some of its own."""
    shutil.copytree(finished, tmp_path / "out")
    pool = [str(write_pool(tmp_path / "pool", count=300))]
    run(work / "recipe.yaml", tmp_path / "other", "balance.mode=none", inputs=pool)
    run(work / "recipe.yaml", tmp_path / "out", "balance.mode=none", stages=["balance"], source=str(tmp_path / "other"))
    assert digests(tmp_path / "out", "curated") == digests(tmp_path / "other", "curated")
