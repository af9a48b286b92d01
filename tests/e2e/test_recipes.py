"""Recipes over the raw pool: all of it, a random choice of as many pairs as another has, rules for texts and scores."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import record
from pipeline.command.verify import findings
from pipeline.errors import UsageError
from pipeline.explore import explore
from pipeline.plan.forecast import forecast
from pipeline.recipe import load_recipe
from tests.e2e.conftest import run, stage, table
from tests.e2e.test_explain_all import check_ends
from tests.filter.plain import UNSPACED, counts_of, ngrams, top_of

FILTER = ["ingest", "match", "dedupe", "balance", "filter"]
RAW = ("match.unmatched=keep", "dedupe.scope=none", "balance.mode=none")


@pytest.fixture(scope="module")
def raw(work):
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
    explore(load_recipe(str(output / "recipe.yaml")), str(output), None, [1.0, 1e6], 0.0)
    lines = json.loads((output / "what-if.json").read_text())["lines"]
    assert lines[1]["size"] == len(rows) - len(none)  # What matches nothing would go.


@pytest.fixture(scope="module")
def chosen(work):
    return run(
        work / "recipe.yaml", work / "random", *RAW[:2], "balance.mode=random", "balance.size=500"
    ), work / "random"


def test_the_forecast_knows_what_stays_of_a_raw_pool(raw, chosen):
    for summary, output in (raw, chosen):
        stages = forecast(load_recipe(str(output / "recipe.yaml"))).stages
        for name in ("ingest", "match", "balance"):
            found = next(one for one in stages if one.name == name)
            assert round(found.rows_out) == stage(summary, name)["out"]


def test_a_random_choice_has_the_size_of_another_recipe(chosen):
    (summary, output), size = chosen, 500
    curated = table(output, "curated")
    pairs = table(output, "matched").num_rows
    assert curated.num_rows == size == stage(summary, "balance")["out"]
    assert set(curated["keep_probability"].to_pylist()) == {size / pairs}
    draws = sorted(table(output, "matched")["draw"].to_pylist())
    assert max(curated["draw"].to_pylist()) == draws[size - 1]
    assert json.loads((output / "summary.json").read_text())
    assert list(findings(str(output))) == []


def test_rules_for_texts_and_scores(raw, work, tmp_path):
    """ALIGN's rules for texts, and the best half by the scores of a table by key: over the raw pool, as all recipes."""
    pairs = table(raw[1], "pairs").select(["pair_id", "text", "copies"]).to_pylist()
    scores = {row["pair_id"]: row["pair_id"] % 7 for row in pairs if row["pair_id"] % 5}
    keys = [f"{pair_id % 2**64:016x}" for pair_id in scores]
    pq.write_table(pa.table({"key": keys, "score": list(scores.values())}), tmp_path / "scores.parquet")
    rules = (
        f"filter={{ngrams: {{top: 150}}, min_words: 2, max_words: 6, columns: ['{tmp_path / 'scores.parquet'}'], "
        "best: {column: score, share: 0.5}}"
    )
    summary = run(work / "recipe.yaml", tmp_path / "out", *RAW, "images={}", rules, stages=FILTER)
    known = top_of(counts_of((row["text"], row["copies"]) for row in pairs), 150)
    left, dropped = [], Counter()
    for row in pairs:
        words = max(len(row["text"].split()), unspaced_words(row["text"]))
        rare = not set(ngrams(row["text"])) <= known
        reasons = {"few_words": words < 2, "many_words": words > 6, "rare_ngram": rare}
        reasons["not_scored"] = row["pair_id"] not in scores
        reason = next((reason for reason, holds in reasons.items() if holds), None)
        dropped[reason] += 1
        left += [row["pair_id"]] if reason is None else []
    best = sorted(left, key=lambda pair_id: (-scores[pair_id], pair_id))[: round(0.5 * len(left))]
    assert sorted(table(tmp_path / "out", "filtered")["pair_id"].to_pylist()) == sorted(best)
    del dropped[None]
    assert stage(summary, "filter")["dropped"] == dropped | {"not_best": len(left) - len(best)}
    assert min(dropped[reason] for reason in reasons) > 10
    notes = record.load(str(tmp_path / "out"), "filter").notes
    assert notes["ngrams"]["frequent"] == 150
    assert notes["best"] == {"scored": len(left), "kept": len(best), "least": min(scores[pair] for pair in best)}
    with pytest.raises(
        UsageError, match="filter.best.column: no column 'scores' in filter.columns or input.pass_through"
    ):
        run(work / "recipe.yaml", tmp_path / "other", *RAW, "filter={best: {column: scores, share: 0.5}}")
    assert not (tmp_path / "other").exists()


def unspaced_words(text: str) -> float:
    """Two characters are a word where most are of a script without spaces."""
    letters = "".join(text.split())
    return len(letters) / 2 if 2 * len(UNSPACED.findall(letters)) > len(letters) else 0


@pytest.mark.slow
def test_explain_tells_of_every_pair(raw, chosen):
    assert ("balance", "not_drawn") not in check_ends(raw[1])
    assert ("balance", "not_drawn") in check_ends(chosen[1])


def test_semantic_duplicates_go(work, tmp_path):
    """Pairs of one image have one vector; some have none."""
    output = tmp_path / "out"
    (tmp_path / "vectors").mkdir()
    run(work / "recipe.yaml", output, *RAW, "images={}", stages=FILTER[:2])
    pairs = table(output, "pairs").select(["pair_id", "image_id"]).to_pylist()
    rng = np.random.default_rng(0)
    of_image = {row["image_id"]: rng.normal(size=24) for row in pairs}
    rows = [row for row in pairs if row["pair_id"] % 9]
    keys = [f"{row['pair_id'] % 2**64:016x}" for row in rows]
    vectors = pa.array([of_image[row["image_id"]].tolist() for row in rows], pa.list_(pa.float64()))
    pq.write_table(pa.table({"key": keys, "vector": vectors}), tmp_path / "vectors" / "a.parquet")
    rule = f"filter={{semantic: {{embeddings: ['{tmp_path / 'vectors'}'], clusters: 4, threshold: 0.999}}}}"
    summary = run(work / "recipe.yaml", output, *RAW, "images={}", rule, stages=FILTER)
    images = len({row["image_id"] for row in rows})
    assert stage(summary, "filter")["dropped"] == {
        "not_embedded": len(pairs) - len(rows), "semantic_duplicate": len(rows) - images
    }  # fmt: skip
    kept = table(output, "filtered")["pair_id"].to_pylist()
    smallest = {}
    for row in sorted(rows, key=lambda row: row["pair_id"]):
        smallest.setdefault(row["image_id"], row["pair_id"])
    assert sorted(kept) == sorted(smallest.values())  # Of equal vectors the first pair.
    with pytest.raises(UsageError, match="filter.semantic.embeddings: nothing: no .parquet or .npy files there"):
        run(work / "recipe.yaml", tmp_path / "other", "filter={semantic: {embeddings: [nothing]}}")


@pytest.mark.slow
def test_metaclip_over_the_best_scores(work, tmp_path):
    """As metaclip-clip-score: a first t above any count keeps all, so that the counts balanced are those of what passed."""
    output = tmp_path / "out"
    run(work / "recipe.yaml", output, "dedupe.scope=none", stages=FILTER[:2])
    rows = table(output, "matched").select(["pair_id", "entry_list", "entries"]).to_pylist()
    keys = [f"{row['pair_id'] % 2**64:016x}" for row in rows]
    scores = [row["pair_id"] % 1009 / 7 for row in rows]
    pq.write_table(pa.table({"key": keys, "score": scores}), tmp_path / "scores.parquet")
    rule = f"filter={{columns: ['{tmp_path / 'scores.parquet'}'], best: {{column: score, share: 0.3}}}}"
    settings = ("dedupe.scope=none", "balance.t=1e12", "images={}", rule, "rebalance.t=5")
    summary = run(work / "recipe.yaml", output, *settings, stages=[*FILTER, "rebalance"])
    assert stage(summary, "balance")["dropped"] == {}
    order = sorted(range(len(rows)), key=lambda i: (-scores[i], rows[i]["pair_id"]))
    best = [rows[i] for i in order[: round(0.3 * len(rows))]]
    counts = Counter((row["entry_list"], entry) for row in best for entry in row["entries"])
    told = table(output, "final_entry_counts").to_pylist()
    assert {(row["entry_list"], row["entry_id"]): row["count"] for row in told if row["count"]} == counts
    assert 0 < table(output, "final").num_rows < len(best)
    assert list(findings(str(output))) == []
