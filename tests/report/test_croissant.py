"""``croissant.json``: it validates with ``mlcroissant``, which reads from it what is in the tables."""

import datetime
import hashlib
import json
from decimal import Decimal

import pyarrow as pa
import pytest

from pipeline.extract.store import CRAWL_FILES
from pipeline.images.fetch import IMAGES
from pipeline.report.card.columns import meaning
from pipeline.report.card.croissant import croissant
from pipeline.shards.tar import INDEX
from pipeline.tables import ENTRY_COUNTS, THRESHOLDS
from tests.report.loaded import records
from tests.report.outputs import contents, curated, recipe, write


def test_records_are_the_rows(tmp_path):
    table = curated(45)
    write(tmp_path / "out", table, recipe(), tmp_path / "out" / "shards")
    assert records(tmp_path / "out", "curated") == table.to_pylist()
    counts = {"entry_list": "en", "entry_id": 0, "entry": "dog", "count": 9, "probability": 1.0, "kept": 9}
    assert records(tmp_path / "out", "entry_counts") == [counts]
    keys = [f"{i:016x}" for i in range(45)]
    assert [(row["key"], row["extension"]) for row in records(tmp_path / "out", "shards")] == [
        (key, ("jpg", "png", "webp")[number % 3]) for number, key in enumerate(keys)
    ]


def test_files_have_their_hashes(tmp_path):
    write(tmp_path / "out", curated(45), recipe(), tmp_path / "out" / "shards")
    found = json.loads((tmp_path / "out" / "croissant.json").read_text())
    files = [part for part in found["distribution"] if part["@type"] == "cr:FileObject"]
    paths = {"curated/part-00000.parquet", "entry_counts/part-00000.parquet", "shards/manifest.json"}
    assert {part["contentUrl"] for part in files} == paths
    for part in files:
        content = (tmp_path / "out" / part["contentUrl"]).read_bytes()
        assert part["sha256"] == hashlib.sha256(content).hexdigest()
        assert part["contentSize"] == f"{len(content)} B"


def test_every_column_of_ours_is_described(tmp_path):
    write(tmp_path / "out", curated(5), recipe(), tmp_path / "out" / "shards")
    sets = json.loads((tmp_path / "out" / "croissant.json").read_text())["recordSet"]
    assert not [field["@id"] for found in sets for field in found["field"] if not field.get("description")]
    tables = {
        "crawl_files": CRAWL_FILES,
        "entry_counts": ENTRY_COUNTS,
        "thresholds": THRESHOLDS,
        "images": IMAGES,
        "shards": INDEX,
    }
    assert not [
        (table, name) for table, schema in tables.items() for name in schema.names if not meaning(table, name, [])
    ]


moment = datetime.datetime(2026, 11, 26, 1, 2, 3, 4)
COLUMNS = {
    "na me": (pa.int64(), 2**60), "ü/ü?a=b&c": (pa.string(), "ä"), "a%20b": (pa.bool_(), True), "#x": (pa.float64(), 0.5),
    "@id": (pa.list_(pa.string()), ["a", "b"]), '"q"': (pa.list_(pa.list_(pa.float64())), [[0.1, 0.2], []]),
    "<b>": (pa.decimal128(20, 0), Decimal(2**63)), "cr:key": (pa.decimal128(10, 2), Decimal("1.25")),
    "狗|`x`": (pa.date32(), moment.date()), "$ref": (pa.timestamp("us"), moment), "\\": (pa.int8(), -3), "'": (pa.float32(), 0.25),
    "http://x/y": (pa.string(), "https://x.test/"), "line\nend": (pa.binary(), b"ab"), "kept": (pa.string(), "of the pool"),
}  # fmt: skip


def test_columns_of_any_name_and_type(tmp_path):
    """As they pass through from pools; DuckDB and Polars read them, too."""
    import duckdb
    import polars as pl

    table = curated(3)
    for name, (kind, value) in COLUMNS.items():
        table = table.append_column(name, pa.array([value, None, value], kind))
    told = write(tmp_path / "out", table, recipe(input={"pass_through": list(COLUMNS)}))
    fields = json.loads(croissant(told))["recordSet"][0]["field"]
    names = {field["@id"].split("/", 1)[1]: field["name"] for field in fields}
    assert list(names.values()) == table.column_names
    assert [field["description"] for field in fields][-1] == "a column of the pool, as it was there"
    found = [{names[key]: value for key, value in row.items()} for row in records(tmp_path / "out", "curated")]
    want = table.to_pylist()
    for row in want:
        row |= {name: row[name].decode() for name in ["line\nend"] if row[name]}
        row |= {name: datetime.datetime.combine(row[name], datetime.time()) for name in ["狗|`x`"] if row[name]}
    for name in table.column_names:
        assert [row[name] for row in found] == [row[name] for row in want], name
    pattern = str(tmp_path / "out" / "curated" / "*.parquet")
    assert pl.read_parquet(pattern).columns == table.column_names
    assert duckdb.sql(f"SELECT * FROM '{pattern}'").columns == table.column_names


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"license": "cc-by-4.0", "credit": "me: # you\n"}, {"license": "cc-by-4.0", "creditText": "me: # you"}),
        ({"license": "other", "license_link": "https://x.test/l"}, {"license": "https://x.test/l"}),
        ({"license": "other", "license_name": "mine"}, {"license": "mine"}),
        ({}, {}),
    ],
    ids=str,
)
def test_what_is_told_of_the_set(given, told):
    found = json.loads(croissant(contents(recipe(**given))))
    assert {key: found[key] for key in ("license", "creditText") if key in found} == told
    assert found["inLanguage"] == ["en"]
    assert "date" not in json.dumps(found).lower().replace("metadata", "").replace("sc:date", "")


def test_no_pairs(tmp_path):
    write(tmp_path / "out", curated(0), recipe())
    assert records(tmp_path / "out", "curated") == []


def test_maps_are_left_out():
    schema = pa.schema({"path": pa.string(), "pages": pa.map_(pa.string(), pa.int64())})
    found = json.loads(croissant(contents(recipe(), schemas={"curated": schema})))
    assert [field["name"] for field in found["recordSet"][0]["field"]] == ["path"]
