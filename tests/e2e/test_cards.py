"""What a real output says of itself is what loads: by the lines of its card, and by its Croissant description."""

import json
import re
from collections import Counter

import pyarrow as pa
from huggingface_hub import DatasetCard

from pipeline import record, storage, tables
from pipeline.fitting import Fit
from pipeline.ingest.contents import INPUTS
from pipeline.output import describe
from pipeline.recipe import load_recipe
from pipeline.record import Record
from pipeline.run import Finished, Request
from pipeline.stages import named
from tests.e2e.conftest import table
from tests.report.loaded import PROJECT, described, load, records

TABLES = ("curated", "pairs", "matched", "clusters", "entry_counts", "thresholds")


def test_the_lines_of_the_card_load_the_output(finished, tmp_path):
    found = load([finished], tmp_path)[0]
    curated, counts = table(finished, "curated"), table(finished, "entry_counts")
    assert found["configs"] == {name: table(finished, name).num_rows for name in TABLES}
    assert found["pairs"] == found["same"] == found["default"] == curated.num_rows
    assert found["texts"] == curated["text"].to_pylist()
    assert dict(found["polars"]) == Counter(curated["language"].to_pylist())
    first, second = found["duckdb"]
    assert {row[0]: row[1] for row in first} == Counter(curated["entry_list"].to_pylist())
    dog = next(row["entry_id"] for row in counts.to_pylist() if (row["entry_list"], row["entry"]) == ("en", "dog"))
    dogs = {row["text"] for row in curated.to_pylist() if row["entry_list"] == "en" and dog in row["entries"]}
    assert len(second) == 10
    assert {row[0] for row in second} <= dogs
    sizes = json.loads((finished / "shards" / "sizes.json").read_text())
    assert len(sizes) > 1
    assert found["samples"] == len(found["tars"]) == len(found["images"]) == sum(sizes.values())
    texts = {f"{row['pair_id'] % 2**64:016x}": row["text"] for row in curated.to_pylist()}
    assert all(texts[key] == text == meta["text"] for key, text, meta in found["tars"])


def test_the_header_of_the_card(finished):
    found = DatasetCard.load(finished / "README.md").data.to_dict()
    kept = {row["entry_list"]: row["kept"] for row in table(finished, "thresholds").to_pylist()}
    assert found["language"] == sorted(kept) == ["de", "en", "zh"]
    assert found["size_categories"] == ["n<1K"]
    text = (finished / "README.md").read_text()
    assert all(f"| `{name}` | {rows:,} | " in text for name, rows in kept.items())


def test_croissant_reads_the_tables(finished):
    found = described(finished)
    assert [one.uuid for one in found.metadata.record_sets] == [*TABLES, "shards"]
    for name in ("curated", "clusters", "thresholds"):
        assert records(finished, name) == table(finished, name).to_pylist()
    manifest = {line["path"]: line for line in json.loads((finished / "manifest.json").read_text())["files"]}
    for file in found.metadata.file_objects:
        assert file.sha256 == manifest[file.content_url]["sha256"]
    assert {path for path in manifest if path.endswith(".parquet") and path.count("/") == 1} == {
        file.content_url for file in found.metadata.file_objects if file.content_url.endswith(".parquet")
    } | {path for path in manifest if path.startswith("shards/") and path.endswith(".parquet")}


def test_the_lines_of_the_docs_read_the_tables(finished):
    import duckdb
    import polars

    docs = (PROJECT / "docs" / "recipes.md").read_text()
    sizes, read = (
        eval(
            re.search(rf"^    ({name}\..*)$", docs, re.MULTILINE)[1].replace("output/demo", str(finished)),
            {name: library},
        )
        for name, library in (("duckdb", duckdb), ("polars", polars))
    )
    curated = table(finished, "curated")
    assert dict(sizes.fetchall()) == Counter(curated["language"].to_pylist())
    assert read.to_arrow().select(["pair_id", "draw"]).to_pylist() == curated.select(["pair_id", "draw"]).to_pylist()


def test_an_output_in_a_store_is_told_of(bucket, work):
    recipe, output = load_recipe(str(work / "recipe.yaml")), f"{bucket}/out"
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"url": ["u"], "text": ["t"]}), sink)
    path = storage.join(output, "pairs", "part-00000.parquet")
    storage.write_bytes(path, sink.getvalue().to_pybytes())
    storage.write_bytes(storage.join(output, "pairs", INPUTS, "part-00000.parquet"), sink.getvalue().to_pybytes())
    fit, finished = Fit(recipe, []), Finished()
    origin = fit.origin(named("ingest"), [], finished)
    files = [tables.describe(path, sink.getvalue().size, "bucket/out/")]
    done = Record("ingest", **origin, rows_in=1, rows_out=1, dropped={}, seconds=1.0, files=files)
    record.save(output, done)
    finished.add(done, named("ingest").folders, output)
    request = Request(recipe=recipe, output=output, source=output)
    assert describe(request, fit, finished, {})
    card = DatasetCard(storage.read_bytes(storage.join(output, "README.md")).decode()).data.to_dict()
    assert [config["config_name"] for config in card["configs"]] == ["pairs"]
    croissant = storage.read_json(storage.join(output, "croissant.json"))
    assert [field["name"] for field in croissant["recordSet"][0]["field"]] == ["url", "text"]
    before = storage.read_bytes(storage.join(output, "croissant.json"))
    storage.remove(storage.join(output, "README.md"))
    assert describe(request, fit, finished, {})
    assert storage.read_bytes(storage.join(output, "croissant.json")) == before
