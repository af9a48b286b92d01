"""A whole run by recipes that differ: modes, thresholds, lists, columns of the pool, without images."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from tests.e2e.conftest import check, run, stage, table
from tests.pool import PREFIX


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


def test_pass_through_columns_reach_the_curated_table(work, tmp_path):
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
