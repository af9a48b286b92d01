"""Reports of outputs that are older, damaged, partial, or balanced by other rules."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.report.page import balance, provenance
from pipeline.report.page.report import gather, write_report
from tests.report.made import data_of, opened, write_output


def test_one_pool_and_shard_begin_together(made, monkeypatch):
    """A sample of few pairs is of those in the first shard, so that entries have thumbnails at any size."""
    monkeypatch.setattr("pipeline.report.page.source.SAMPLE", 150)
    data = gather(opened(made))
    ids = opened(made).left["pair_id"].to_numpy()
    assert len(ids) == 150
    assert (np.diff(ids) > 0).all()
    assert sum("webp" in sample for sample in data["samples"]) > 50
    monkeypatch.setattr("pipeline.report.page.source.SAMPLE", 1500)
    assert gather(opened(made))["duplicates"]["examples"]


@pytest.mark.parametrize("damage", ["no tars", "cut tars", "index", "no index columns", "unreadable images"])
def test_shards_that_are_gone_or_damaged(made, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(made, folder)
    for file in (folder / "shards").iterdir():
        if file.suffix == ".tar" and damage == "no tars":
            file.unlink()
        if file.suffix == ".tar" and damage in ("cut tars", "unreadable images"):
            file.write_bytes(file.read_bytes()[:3000] if damage == "cut tars" else bytes(file.stat().st_size))
        if file.suffix == ".parquet" and damage == "index":
            file.write_bytes(file.read_bytes()[:100])
        if file.suffix == ".parquet" and damage == "no index columns":
            pq.write_table(pq.read_table(file).drop_columns(["image_size"]), file)
    data = data_of(Path(write_report(opened(folder))).read_text(encoding="utf-8"))
    assert data["balance"]
    assert len(data["images"].get("thumbnails", [])) < (3 if damage == "cut tars" else 1)


def test_texts_of_very_many_entries(tmp_path):
    lists = {"en": [f"w{at}" for at in range(5000)]}
    pairs = [
        {"url": f"u:{at}", "text": f"t {at}", "entry_list": "en", "entries": list(range(at, at + 900))}
        for at in range(2600)
    ]
    folder = write_output(tmp_path / "many", lists, pairs, t=5000, images=False)
    assert Path(write_report(opened(folder))).stat().st_size < 5_000_000


@pytest.mark.parametrize(
    "options", [{"mode": "cap"}, {"mode": "none"}, {"domain": {"t": 1}}, {"texts_per_image": "one"}, {"t": {"en": 3}}]
)
def test_no_what_if_where_other_rules_decide(made, options):
    output = opened(made)
    output.recipe["balance"] |= options
    assert balance.figures(output)["what_if"] is None


def test_a_page_that_fails_costs_no_set(monkeypatch, capsys):
    from pipeline import output

    monkeypatch.setattr(output, "write_report", lambda _: 1 / 0)
    output._write_report(None)
    assert "report.html is not written (ZeroDivisionError: division by zero)" in capsys.readouterr().out


def test_nothing_curated(tmp_path):
    pairs = [{"url": "u:1", "text": "x", "entry_list": "en", "entries": [0], "draw": 2.0}] * 3
    folder = write_output(tmp_path / "none", {"en": ["x", "y"]}, pairs, t=1, images=False)
    data = data_of(Path(write_report(opened(folder))).read_text(encoding="utf-8"))
    assert data["curated"] == 0


def test_an_older_output_without_what_is_kept(made, tmp_path):
    folder = tmp_path / "older"
    shutil.copytree(made, folder)
    shutil.rmtree(folder / "matched" / "_counts")
    for name in ("entry_counts", "thresholds"):
        file = folder / name / "part-00000.parquet"
        pq.write_table(pq.read_table(file).drop_columns(["kept"]), file)
    assert opened(folder).entries.kept.tolist() == opened(made).entries.kept.tolist()
    data, whole = gather(opened(folder)), gather(opened(made))
    assert [row["kept"] for row in data["languages"]] == [row["kept"] for row in whole["languages"]]


@pytest.mark.parametrize("gone", ["matched", "clusters", "entry_counts", "thresholds", "curated", "shards", ".stages"])
def test_what_is_not_there_is_left_out(made, tmp_path, gone):
    folder = tmp_path / "part"
    shutil.copytree(made, folder)
    shutil.rmtree(folder / gone)
    data = data_of(Path(write_report(opened(folder))).read_text(encoding="utf-8"))
    assert ("balance" in data) == (gone in ("clusters", "shards"))
    assert bool(data.get("duplicates")) == (gone == "shards")


def test_no_output(tmp_path):
    with pytest.raises(UsageError, match=r"no output of this project \(recipe.yaml is missing\)"):
        opened(tmp_path)


def test_what_urls_tell_of_users_and_keys_is_not_shown():
    found = provenance.shown(["s3://key:secret@bucket/x?token=abc"])
    assert "secret" not in found
    assert "abc" not in found
    assert "s3://bucket/x" in found
