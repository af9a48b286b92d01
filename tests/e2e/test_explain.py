"""``explain``: for each end that a pair can come to, what is said is what the tables, held apart from it, say."""

import json
import math
import shutil
import tarfile
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline.buckets.files import Files, write_bucket
from pipeline.command.explain import explained
from pipeline.command.main import app
from pipeline.command.verify import findings
from pipeline.errors import UsageError
from pipeline.explain import index
from pipeline.shards.tar import sample_key
from tests.e2e.conftest import table


@pytest.fixture(scope="module")
def output(finished, tmp_path_factory):
    """A copy, as an index is made there."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("explain") / "output")


@pytest.fixture(scope="module")
def rows(output):
    """The rows of each table by pair_id."""
    names = ("pairs", "matched", "clusters", "curated")
    found = {name: {row["pair_id"]: row for row in table(output, name).to_pylist()} for name in names}
    shards = [pq.read_table(file).to_pylist() for file in sorted((output / "shards").glob("*.parquet"))]
    return found | {"shards": {row["pair_id"]: row for part in shards for row in part}}


def one(output, pair_id):
    told = explained(str(output), str(pair_id), "pair_id")
    assert told["found"] == 1
    [pair] = told["pairs"]
    assert (pair["pair_id"], pair["key"]) == (pair_id, sample_key(pair_id))
    return pair


def end_of(pair):
    return pair["state"], pair.get("stage"), pair.get("reason")


def test_a_pair_in_the_set_is_where_it_says(output, rows):
    pair_id = min(rows["shards"])
    pair = one(output, pair_id)
    assert end_of(pair) == ("in the set", None, None)
    assert pair["files"][:2] == ["pairs/part-00000.parquet", "matched/part-00000.parquet"]
    assert "curated/part-00000.parquet" in pair["files"]
    place = pair["shard"]
    with tarfile.open(output / place["shard"]) as tar:
        member = tar.getmember(f"{pair['key']}.txt")
        assert (member.offset_data, member.size) == (place["txt_offset"], place["txt_size"])
        assert tar.extractfile(member).read().decode() == pair["text"] == rows["pairs"][pair_id]["text"]


def test_a_pair_that_was_not_drawn_has_its_entries_and_draw(output, rows):
    gone = [p for p in rows["matched"] if p not in rows["curated"] and rows["clusters"].get(p, {"kept": True})["kept"]]
    row, pair = rows["matched"][gone[0]], one(output, gone[0])
    assert end_of(pair) == ("dropped", "balance", "not_drawn")
    assert pair["draw"] == row["draw"] >= pair["keep_probability"]
    counted = table(output, "entry_counts").filter(pc.field("entry_list") == row["entry_list"]).to_pylist()
    expected = [counted[entry_id] for entry_id in row["entries"]]
    assert pair["entries"] == [{k: e[k] for k in ("entry", "count", "probability")} for e in expected]
    [t] = [line["t"] for line in table(output, "thresholds").to_pylist() if line["entry_list"] == row["entry_list"]]
    assert pair["keep_probability"] == pytest.approx(1 - math.prod(1 - min(1, t / e["count"]) for e in expected))


def test_the_keep_probability_is_that_of_the_table(output, rows):
    for pair_id in list(rows["curated"])[:5]:
        assert one(output, pair_id)["keep_probability"] == rows["curated"][pair_id]["keep_probability"]


def shingles(text):
    text = " ".join(text.lower().split())
    return {text[at : at + 3] for at in range(len(text) - 2)}


def test_a_near_duplicate_says_what_was_kept_and_how_near_it_is(output, rows):
    gone = next(p for p, row in rows["clusters"].items() if not row["kept"] and rows["matched"][p]["text"].isascii())
    pair = one(output, gone)
    assert end_of(pair) == ("dropped", "dedupe", "near_duplicate")
    cluster = [p for p, row in rows["clusters"].items() if row["cluster_id"] == rows["clusters"][gone]["cluster_id"]]
    assert pair["cluster"]["members"] == len(cluster)
    kept = pair["cluster"]["kept"]
    assert sorted(line["pair_id"] for line in kept) == sorted(p for p in cluster if rows["clusters"][p]["kept"])
    mine = shingles(pair["text"])
    for line in kept:
        other = shingles(line["text"])
        assert line["text"] == rows["matched"][line["pair_id"]]["text"]
        assert line["jaccard"] == pytest.approx(len(mine & other) / len(mine | other))
    assert kept == sorted(kept, key=lambda line: -line["jaccard"])
    assert f"{kept[0]['jaccard']:.3f} with the kept pair {kept[0]['pair_id']}" in pair["why"]


def test_a_pair_of_a_language_without_a_list_says_so(output, rows):
    gone = next(row for p, row in rows["pairs"].items() if p not in rows["matched"] and row["language"] == "fr")
    pair = one(output, gone["pair_id"])
    assert end_of(pair) == ("dropped", "match", "no_entry_list")
    assert pair["why"] == "language fr; the lists are de, en, zh"
    assert pair["files"] == ["pairs/part-00000.parquet"]


def test_a_pair_without_a_match_says_which_list_it_was_held_against(output, rows, tmp_path):
    """All of the pool match, so one of them is taken out of ``matched`` here."""
    copy = shutil.copytree(output, tmp_path / "copy")
    file = copy / "matched/part-00000.parquet"
    first, *_ = matched = pq.read_table(file).to_pylist()
    pq.write_table(pa.Table.from_pylist(matched[1:], pq.read_schema(file)), file)
    pair = one(copy, first["pair_id"])
    assert end_of(pair) == ("dropped", "match", "no_match")
    entries = pq.read_metadata(copy / f"matched/_lists/{first['entry_list']}.parquet").num_rows
    assert pair["why"] == f"none of the {entries} entries of {first['entry_list']} is in the text"


def test_a_pair_without_an_image_is_dropped_by_the_shards(output, rows):
    gone = next(p for p in rows["curated"] if p not in rows["shards"])
    pair = one(output, gone)
    assert end_of(pair) == ("dropped", "shards", "missing_image or unreadable_image")
    assert "shard" not in pair or pair["shard"] is None


def test_a_url_an_image_and_a_text_find_all_their_pairs(output, rows):
    urls = Counter(row["url"] for row in rows["pairs"].values())
    texts = Counter(row["text"] for row in rows["pairs"].values())
    url, text = urls.most_common(1)[0][0], texts.most_common(1)[0][0]
    image_id = next(row["image_id"] for row in rows["pairs"].values() if row["url"] == url)
    for what, kind, column, value in ((f" {url}\n", "url", "url", url), (image_id, "image_id", "url", url),
                                      (text, "text", "text", text)):  # fmt: skip
        told = explained(str(output), what, most=1000)
        assert told["as"] == kind
        expected = [p for p, row in rows["pairs"].items() if row[column] == value]
        assert [pair["pair_id"] for pair in told["pairs"]] == sorted(expected)
        assert told["found"] == len(expected) > 1
        few = explained(str(output), what, most=1)
        assert (few["found"], len(few["pairs"])) == (len(expected), 1)
    pair = next(row for row in rows["pairs"].values() if row["copies"] > 1)
    [told] = explained(str(output), pair["url"], text=pair["text"])["pairs"]
    assert (told["pair_id"], told["copies"]) == (pair["pair_id"], pair["copies"])
    [same] = explained(str(output), told["key"])["pairs"]
    assert same == told


def test_what_is_not_there_is_said_to_be_unknown(output):
    for what in ("https://pool.test/none.png", "0" * 24, "no such text", "0" * 16, "5"):
        told = explained(str(output), what)
        assert (told["found"], told["pairs"]) == (0, [])
        recorded = json.loads((output / ".stages/ingest.json").read_text())["dropped"]
        assert told["not_found"]["dropped_in_ingest"] == recorded
        assert "the input is not kept" in told["not_found"]["why"]


def test_the_command_prints_trees_and_json(output, rows):
    pair_id = min(rows["shards"])
    done = CliRunner().invoke(app, ["explain", str(output), "--as", "pair_id", "--", str(pair_id)])
    assert done.exit_code == 0, done.output
    assert f"{sample_key(pair_id)} in the set" in done.output
    assert done.output.endswith("1 pair found (pair_id)\n")
    done = CliRunner().invoke(app, ["explain", str(output), sample_key(pair_id), "--json"])
    assert json.loads(done.output) == explained(str(output), sample_key(pair_id))
    done = CliRunner().invoke(app, ["explain", str(output), "no such text"])
    assert "not found" in done.output
    assert "dropped in ingest: 1" in done.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("what", "more", "message"),
    [
        ("x", {"kind": "name"}, "--as name: allowed are url, image_id, pair_id, key, text"),
        ("x", {"text": "y"}, "--text: is for a URL, found text 'x'"),
        ("x", {"kind": "key"}, "x: no key: allowed are 16 hex digits"),
        (str(2**63), {"kind": "pair_id"}, "no pair_id: allowed are numbers of 64 bits"),
        ("xyz", {"kind": "image_id"}, "xyz: no image_id: allowed are 24 hex digits"),
    ],
)
def test_what_cannot_be_asked(what, more, message, output):
    with pytest.raises(UsageError, match=message):
        explained(str(output), what, **more)


def test_an_index_is_made_once_and_again_for_another_table(tmp_path, monkeypatch):
    """In several files where there are many rows."""
    monkeypatch.setattr(index, "FILE_ROWS", 1000)
    ids = pa.array(range(-20_000, 20_000), pa.int64())
    texts = pa.array([f"text {number % 16_000}" for number in range(40_000)])
    rows = pa.table({"pair_id": ids, "text": texts})
    (tmp_path / "pairs").mkdir()
    write_bucket(str(tmp_path / "pairs"), 0, "0", iter([rows]), rows.schema)
    files = Files.of(str(tmp_path / "pairs"))
    key = index.text_key("text 7")
    assert list(index.find(str(tmp_path), "text", key, files, "a" * 64)) == [-19_993, -3993, 12_007]
    [made] = (tmp_path / ".index").iterdir()
    before = {file: file.stat().st_mtime_ns for file in made.iterdir()}
    assert len(before) > 1
    assert list(index.find(str(tmp_path), "text", key, files, "a" * 64)) == [-19_993, -3993, 12_007]
    assert {file: file.stat().st_mtime_ns for file in made.iterdir()} == before
    assert not list(index.find(str(tmp_path), "text", index.text_key("no"), files, "b" * 64))
    assert [folder.name for folder in (tmp_path / ".index").iterdir()] == [f"text-{'b' * 16}"]


def test_where_no_index_can_be_written_a_pair_is_found_all_the_same(output, rows, tmp_path):
    copy = shutil.copytree(output, tmp_path / "copy", ignore=lambda *_: {".index"})
    (copy / ".index").write_text("a file")
    pair = next(row for p, row in rows["pairs"].items() if p not in rows["clusters"])
    with pytest.raises(UsageError, match=r"\.index: cannot be written: .* a URL with its --text is found without it"):
        explained(str(copy), pair["url"])
    assert explained(str(copy), pair["url"], text=pair["text"])["found"] == 1


def test_an_index_is_no_part_of_the_set(output):
    explained(str(output), "https://pool.test/none.png")
    assert (output / ".index").is_dir()
    assert list(findings(str(output))) == []
