"""Columns of every type, names and codes in all spellings, through whole runs, values compared at the end."""

import datetime as dt
import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.ingest.columns import stored
from tests.conftest import SHARED
from tests.e2e.conftest import check, run, stage, table
from tests.ingest.test_columns import KINDS, array

NAMES = ["a b", "größe", "a,b;{}()\n\t=", "first", "texts", "key", "start", "rank", "row", "part", "file",
         "shard", "tags", "contents", "_metadata"]  # fmt: skip


def can_be_written(kind):
    try:
        pq.write_table(pa.table({"x": array(kind, [None])}), pa.BufferOutputStream())
    except pa.ArrowNotImplementedError:
        return False
    return True


def test_columns_of_every_type_come_as_far_as_the_last_table(work, tmp_path):
    kinds = [kind for kind in KINDS if can_be_written(kind[0])]
    rows = 4
    columns, want = {}, {}
    for number, (kind, values, _, there) in enumerate(kinds):
        filled = [*values, *[values[0]] * rows][:rows]
        expected = values if there is None else there
        columns[f"x{number}"] = array(kind, filled)
        want[f"x{number}"] = [*expected, *[expected[0]] * rows][:rows]
    for number, name in enumerate(NAMES):
        columns[name] = want[name] = [number * 10 + i for i in range(rows)]
    own = {"url": [f"http://x/{i}" for i in range(rows)], "text": ["a cat"] * rows, "language": ["en"] * rows}
    columns["mixed"] = pa.array([1, 2**53, None, 4])
    want["mixed"] = [1.0, 2.0**53, None, 4.0]
    pq.write_table(pa.table(own | columns), tmp_path / "a.parquet")
    second = {"url": ["http://x/9"], "text": ["a cat"], "language": ["en"], "mixed": [0.5]}
    pq.write_table(pa.table(second), tmp_path / "b.parquet")
    passed, where = json.dumps(list(columns)), "`a b` < 1000 or mixed = 0.5"
    summary = run(
        work / "recipe.yaml", tmp_path / "out", f"input.pass_through={passed}", "balance.texts_per_image=one", "balance.t=1000",
        f"filter.where={json.dumps(where)}", "rebalance.t=1000", "dedupe.scope=none", "images.root=null", "images.prefix=null",
        inputs=[str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")],
    )  # fmt: skip
    assert stage(summary, "ingest")["values_lost"] == {}
    for name in ("pairs", "curated", "filtered", "final"):
        found = table(tmp_path / "out", name).sort_by("url")
        assert found["mixed"].to_pylist()[rows:] == [0.5]
        for column, values in want.items():
            assert plain(found[column].to_pylist()[:rows]) == plain(values), (name, column)
    for number, (_, _, kind, _) in enumerate(kinds):
        assert stored(found.schema.field(f"x{number}").type) == kind


def plain(value):
    """Times without zone: Spark's own files have none, and all are in UTC."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value


def test_values_that_are_lost_are_counted_by_column(work, tmp_path):
    own = {"text": ["a cat"] * 2, "language": ["en"] * 2}
    pq.write_table(
        pa.table({"url": ["http://x/1", "http://x/2"], **own, "n": [2**60, 7], "width": [-4, 5]}),
        tmp_path / "a.parquet",
    )
    pq.write_table(pa.table({"url": ["http://x/3", "http://x/4"], **own, "n": [0.5, None]}), tmp_path / "b.parquet")
    summary = run(
        work / "recipe.yaml", tmp_path / "out", "input.pass_through=[n]", inputs=[str(tmp_path)], stages=["ingest"]
    )
    assert stage(summary, "ingest")["values_lost"] == {"n": 1, "width": 1}
    assert stage(summary, "ingest")["dropped"] == {}
    assert stage(summary, "ingest")["in"] == 4
    found = table(tmp_path / "out", "pairs").sort_by("url")
    assert found["n"].to_pylist() == [None, 7.0, 0.5, None]


CODES = [
    "EN",
    "en-US",
    "eng",
    "zh-CN",
    "zh-Hant-TW",
    "zho_Hans",
    "pt_BR",
    "iw",
    "deu",
    "fr",
    "fr-CA",
    "FRA",
    "ja",
    "en",
]


def write_codes(folder, other):
    lists = folder / "lists"
    lists.mkdir()
    for name, entries in {
        "EN": ["cat"],
        "zh": ["cat", "猫"],
        "zh-Hant": ["cat"],
        "pt": ["gato"],
        "he": ["cat"],
        "de": ["cat"],
    }.items():
        (lists / f"{name}.TXT").write_text("\n".join(entries) + "\n")
    if other:
        (lists / "other.txt").write_text("cat\ngato\ndog\n")
    texts = ["a cat", "a dog", "gato 猫"]
    lines = [f"http://x/{i}/{j}\t{text}\t{code}\n" for i, code in enumerate(CODES) for j, text in enumerate(texts)]
    (folder / "in.tsv").write_text("url\ttext\tlanguage\n" + "".join(lines))
    return lists


@pytest.mark.parametrize("other", [False, True])
def test_codes_in_all_spellings_find_their_lists(work, tmp_path, other):
    lists = write_codes(tmp_path, other)
    given = ["images.root=null", "images.prefix=null", "balance.t=1000", "balance.tail_share=0.5", f"entries={lists}"]
    summary = run(work / "recipe.yaml", tmp_path / "out", *given, inputs=[str(tmp_path / "in.tsv")])
    counted = pc.value_counts(table(tmp_path / "out", "pairs")["language"]).to_pylist()
    languages = {line["values"]: line["counts"] for line in counted}
    assert languages == {"EN": 12, "zh": 6, "zh-Hant": 3, "pt": 3, "he": 3, "de": 3, "fr": 9, "ja": 3}
    if other:
        assert "without_list" not in stage(summary, "match")
    else:
        assert stage(summary, "match")["without_list"] == {"fr": 9, "ja": 3}
        assert stage(summary, "match")["dropped"]["no_entry_list"] == 12
    if SHARED.is_dir():
        check(SHARED, tmp_path / "out")


def test_a_leader_without_pairs_ends_the_run_in_one_line(work, tmp_path):
    (tmp_path / "in.tsv").write_text("url\ttext\tlanguage\nhttp://x/1\tein hund\tde\n")
    with pytest.raises(
        UsageError, match=r"balance.t: the list en, .* has no pairs; give balance.t as a map with one for de"
    ):
        run(work / "recipe.yaml", tmp_path / "out", inputs=[str(tmp_path / "in.tsv")])
    with pytest.raises(UsageError, match="balance.t: the list en"):
        run(work / "recipe.yaml", tmp_path / "out", "balance.size=5", inputs=[str(tmp_path / "in.tsv")])
    run(work / "recipe.yaml", tmp_path / "out", "balance.t={en: 5, de: 2, zh: 2}", inputs=[str(tmp_path / "in.tsv")])
    assert table(tmp_path / "out", "curated").num_rows == 1
