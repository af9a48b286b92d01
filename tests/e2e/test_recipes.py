"""Recipes that pass pairs through without balancing: the raw pool, and a random choice of as many pairs."""

import json

import pytest

from pipeline.command.verify import findings
from tests.e2e.conftest import run, stage, table
from tests.e2e.test_explain_all import check_ends

RAW = ("match.unmatched=keep", "dedupe.scope=none", "balance.mode=none")


@pytest.fixture(scope="module")
def raw(work, spark):
    return run(work / "recipe.yaml", work / "raw", *RAW), work / "raw"


def test_the_raw_pool_passes_through(raw):
    summary, output = raw
    assert stage(summary, "match")["dropped"] == {}
    pairs, curated = table(output, "pairs"), table(output, "curated")
    assert sorted(curated["pair_id"].to_pylist()) == sorted(pairs["pair_id"].to_pylist())
    rows = curated.to_pylist()
    none = [row for row in rows if not row["entries"]]
    assert {row["entry_list"] for row in none} == {None}  # French has no list here, and all other texts match.
    assert {row["keep_probability"] for row in none} == {1.0}
    assert all(row["entries"] for row in rows if row["keep_probability"] < 1)
    assert list(findings(str(output))) == []
    assert (output / "report.html").stat().st_size > 10_000


def test_a_random_choice_has_the_size_of_another_recipe(work, finished, spark):
    size = table(finished, "curated").num_rows
    output = work / "random"
    summary = run(work / "recipe.yaml", output, *RAW[:2], "balance.mode=random", f"balance.size={size}")
    curated = table(output, "curated")
    pairs = table(output, "matched").num_rows
    assert curated.num_rows == size == stage(summary, "balance")["out"]
    assert set(curated["keep_probability"].to_pylist()) == {size / pairs}
    draws = sorted(table(output, "matched")["draw"].to_pylist())
    assert max(curated["draw"].to_pylist()) == draws[size - 1]
    assert json.loads((output / "summary.json").read_text())
    assert list(findings(str(output))) == []


@pytest.mark.slow
def test_explain_tells_of_every_pair(raw, work):
    assert ("balance", "not_drawn") not in check_ends(raw[1])
    assert ("balance", "not_drawn") in check_ends(work / "random")
