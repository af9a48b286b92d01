"""One command from a pool to a curated set."""

import hashlib
import json
import shutil
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset as wds
import yaml

from pipeline.errors import PipelineError, UsageError
from pipeline.tables import CLUSTERS, CURATED, ENTRY_COUNTS, MATCHED, PAIRS, THRESHOLDS
from tests.e2e.conftest import check, digests, run, stage, table
from tests.pool import PREFIX, write_pool

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


@pytest.mark.parametrize(
    "overrides",
    [
        ["balance.mode=cap", "balance.texts_per_image=one"],
        *(
            pytest.param(overrides, marks=pytest.mark.slow)
            for overrides in (
                ["dedupe.scope=image"],
                ["balance.tail_share=0.2"],
                ["balance.mode=none"],
                ["balance.mode=cap"],
                ["balance.texts_per_image=one"],
                ["balance.t={en: 8, de: 3, zh: 100}"],
                ["dedupe.scope=none", "seed=-3"],
                ["match.form=metaclip1"],
            )
        ),
    ],
    ids=" ".join,
)
def test_modes(finished, work, tmp_path, shared, overrides):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    run(work / "recipe.yaml", copy, *overrides)
    check(shared, copy)


def test_a_domain_has_a_threshold_of_its_own(finished, work, tmp_path):
    """Its entries keep all, the others what they kept."""
    (tmp_path / "domain.txt").write_text("dog\naxolotl\nnot in any list\n")
    again = tmp_path / "copy"
    shutil.copytree(finished, again)
    only = ["ingest", "match", "dedupe", "balance"]
    summary = run(
        work / "recipe.yaml", again, f"balance.domain={{entries: {tmp_path / 'domain.txt'}, t: 100000}}", stages=only
    )
    assert stage(summary, "balance")["domain"]["in_lists"] == 3
    counts = {(row["entry_list"], row["entry"]): row for row in table(again, "entry_counts").to_pylist()}
    before = {(row["entry_list"], row["entry"]): row for row in table(finished, "entry_counts").to_pylist()}
    changed = {key for key in counts if counts[key]["probability"] != before[key]["probability"]}
    assert ("en", "dog") in changed <= {("en", "dog"), ("en", "axolotl"), ("de", "axolotl")}
    assert counts["en", "dog"]["probability"] == 1
    kept = set(table(again, "curated")["pair_id"].to_pylist())
    assert set(table(finished, "curated")["pair_id"].to_pylist()) < kept
    dog = counts["en", "dog"]["entry_id"]
    removed = {row["pair_id"] for row in table(again, "clusters").to_pylist() if not row["kept"]}
    dogs = {
        row["pair_id"]
        for row in table(again, "matched").to_pylist()
        if row["entry_list"] == "en" and dog in row["entries"]
    }
    assert dogs - removed <= kept
    with pytest.raises(UsageError, match="balance.domain.entries: /none.txt: no such file"):
        run(work / "recipe.yaml", again, "balance.domain={entries: /none.txt, t: 3}")
    with pytest.raises(UsageError, match="domain is beside t or tail_share, found size"):
        run(work / "recipe.yaml", again, "balance.size=100", "balance.domain={entries: /none.txt, t: 3}")


@pytest.mark.slow
def test_size_finds_t(finished, work, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    summary = run(work / "recipe.yaml", copy, "balance.size=500")
    balance = stage(summary, "balance")
    assert abs(balance["expected"] - 500) < 40
    assert abs(balance["out"] - balance["expected"]) < 5 * 500**0.5
    again = run(work / "recipe.yaml", copy, f"balance.t={balance['t']['en']}")
    assert stage(again, "balance")["out"] == balance["out"]


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


def test_without_images_it_ends_with_the_tables(work, tmp_path):
    text = "".join(
        line for line in (work / "recipe.yaml").read_text().splitlines(True) if not line.startswith("images")
    )
    (tmp_path / "recipe.yaml").write_text(text)
    summary = run(tmp_path / "recipe.yaml", tmp_path / "out")
    assert summary["stages"][-1]["stage"] == "balance"
    assert (tmp_path / "out" / "manifest.json").exists()
    with pytest.raises(UsageError, match=r"images.root: missing"):
        run(tmp_path / "recipe.yaml", tmp_path / "out", stages=["shards"])


@pytest.mark.slow
def test_one_list_without_language(work, tmp_path, shared):
    text = (work / "recipe.yaml").read_text().replace("identify: column", "identify: none")
    text = text.replace(f"entries: {work}/entries", f"entries: {{de: {work}/entries/de.txt}}")
    (tmp_path / "recipe.yaml").write_text(text)
    run(tmp_path / "recipe.yaml", tmp_path / "out")
    assert set(table(tmp_path / "out", "pairs")["language"].to_pylist()) == {"und"}
    assert set(table(tmp_path / "out", "matched")["entry_list"].to_pylist()) == {"de"}
    check(shared, tmp_path / "out")


@pytest.mark.slow
def test_other_serves_the_rest(work, tmp_path, shared):
    lists = ", ".join(
        f"{name}: {work}/entries/{file}.txt" for name, file in [("en", "en"), ("zh", "zh"), ("other", "de")]
    )
    text = (work / "recipe.yaml").read_text().replace(f"entries: {work}/entries", f"entries: {{{lists}}}")
    (tmp_path / "recipe.yaml").write_text(text)
    summary = run(tmp_path / "recipe.yaml", tmp_path / "out")
    assert "no_entry_list" not in stage(summary, "match")["dropped"]
    matched = table(tmp_path / "out", "matched")
    found = set(zip(matched["language"].to_pylist(), matched["entry_list"].to_pylist(), strict=True))
    assert found <= {("en", "en"), ("zh", "zh"), ("de", "other"), ("fr", "other")}
    assert ("de", "other") in found
    check(shared, tmp_path / "out")


def test_pass_through_columns_reach_the_curated_table(work, tmp_path, spark):
    table_in = pa.table({"url": [f"{PREFIX}{i:05d}.png" for i in range(20)], "text": [f"cat {i}" for i in range(20)],
                         "language": ["en"] * 20, "punsafe": [i / 20 for i in range(20)], "n": pa.array(range(20), pa.uint8())})  # fmt: skip
    pq.write_table(table_in, tmp_path / "in.parquet")
    run(
        work / "recipe.yaml", tmp_path / "out", "input.pass_through=[punsafe, n]", inputs=[str(tmp_path / "in.parquet")]
    )
    curated = table(tmp_path / "out", "curated")
    for line in curated.to_pylist():
        assert line["punsafe"] == int(line["text"].split()[1]) / 20
        assert line["n"] == int(line["text"].split()[1])
    assert curated.num_rows > 5


def test_rows_that_do_not_add_up_fail_the_run(work, tmp_path, spark, monkeypatch):
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
