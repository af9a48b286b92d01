"""Groups in a recipe, in whole runs: shares of the set, what verify, explain, what-if, plan and the README say of them."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

from pipeline.command.explain import explained
from pipeline.command.verify import findings
from pipeline.explore import explore
from pipeline.plan.forecast import forecast
from pipeline.recipe import load_recipe
from tests.e2e.conftest import run, stage, table
from tests.e2e.test_verify import forge

TERMS = """
source: made for this test
groups:
  pets: [cat, dog, katze, hund, parrot]
  large: [Large, groß]
  water: [river, fluss, 河]
  rare: [axolotl]
"""
GROUPS = (
    "balance.groups=[{{terms: {0}, group: pets, share: 0.1}}, {{terms: {0}, group: large, share: 0.05}}, "
    "{{terms: {0}, group: rare, t: 100000}}]"
)
BALANCE = ["ingest", "match", "dedupe", "balance"]


@pytest.fixture
def terms(tmp_path):
    file = tmp_path / "my terms.yaml"
    file.write_text(TERMS, encoding="utf-8")
    return file


def with_group(output, name, of):
    """The pairs of a table that have one of these entries, and all of its pairs."""
    entries = {
        (row["entry_list"], row["entry_id"]) for row in table(output, "entry_counts").to_pylist() if row["entry"] in of
    }
    rows = table(output, name).to_pylist()
    found = {row["pair_id"] for row in rows if any((row["entry_list"], entry) in entries for entry in row["entries"])}
    return found, {row["pair_id"] for row in rows}


def test_a_run_with_groups(finished, work, terms, tmp_path):
    output = shutil.copytree(finished, tmp_path / "output")
    one = f"balance.groups=[{{terms: {terms}, group: rare, t: 100000}}]"
    run(work / "recipe.yaml", output, one, stages=BALANCE)
    without = set(table(output, "curated")["pair_id"].to_pylist())
    summary = run(work / "recipe.yaml", output, GROUPS.format(terms))
    pets, large, rare = stage(summary, "balance")["groups"]
    every = set(table(output, "curated")["pair_id"].to_pylist())
    assert every < without
    for line, of in ((pets, {"cat", "dog", "katze", "hund"}), (large, {"large"})):
        found, _ = with_group(output, "curated", of)
        assert line["pairs"] == len(found) < line["pairs_without_caps"]
        assert len(found) / len(every) == line["of_the_set"] <= line["share"]
        assert line["factor"] < 1
    assert [(line["entries"], line["terms_without_entry"]) for line in (pets, large, rare)] == [(4, 1), (1, 1), (2, 0)]
    assert list(findings(str(output))) == []
    readme = (output / "README.md").read_text()
    assert "Entries of the group pets" in readme
    assert "have at most 10.00% of the pairs." in readme

    [gone] = explained(str(output), str(min((without - every) & with_group(output, "matched", {"dog"})[0])))["pairs"]
    assert (gone["stage"], gone["reason"]) == ("balance", "not_drawn")
    assert "it names a group whose share is capped" in gone["why"]
    assert gone["keep_probability"] <= gone["draw"]

    again = run(work / "recipe.yaml", output, GROUPS.format(terms))
    assert stage(again, "balance")["skipped"]
    os.utime(terms, (1, 1))
    assert not stage(run(work / "recipe.yaml", output, GROUPS.format(terms)), "balance")["skipped"]

    recipe = load_recipe(str(work / "recipe.yaml"), [GROUPS.format(terms)])
    explore(recipe, str(output), None, [12.0], 0.0)
    [line] = json.loads((output / "what-if.json").read_text())["lines"]
    assert line["size"] == pytest.approx(len(every), rel=0.1)
    forecast_of = {one.name: one.rows_out for one in forecast(recipe).stages}
    assert forecast_of["balance"] == pytest.approx(len(every), rel=0.15)

    [file] = (output / "entry_counts").glob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns("group_factor"), file)
    forge(output)
    said = "\n".join(findings(str(output)))
    assert "entry_counts: has no column group_factor, the recipe caps groups" in said
    assert "is not that of its entries" in said


@pytest.mark.slow
def test_groups_of_what_is_balanced_again(work, terms, tmp_path):
    """Half of the images are too wide or missing; the shares hold in the final set, which is part of the first."""
    output = tmp_path / "output"
    settings = ["filter.min_words=3", "rebalance.t=5", GROUPS.format(terms).replace("balance.", "rebalance.")]
    summary = run(work / "recipe.yaml", output, *settings)
    final, curated = (set(table(output, name)["pair_id"].to_pylist()) for name in ("final", "curated"))
    assert final < curated
    for line, of in zip(
        stage(summary, "rebalance")["groups"], ({"cat", "dog", "katze", "hund"}, {"large"}), strict=False
    ):
        found, _ = with_group(output, "final", of)
        assert line["pairs"] == len(found)
        assert len(found) / len(final) <= line["share"]
    assert list(findings(str(output))) == []
    gone = explained(str(output), str(min(curated - final)))["pairs"][0]
    assert gone["state"] == "dropped"
