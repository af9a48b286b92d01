"""``remove`` on a finished set: what goes, what stays as it is, what is told, and what does not come back."""

import hashlib
import json
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipeline import record
from pipeline.command.explain import explained
from pipeline.command.main import app
from pipeline.command.verify import findings
from pipeline.errors import UsageError
from pipeline.removal import remove
from tests.remove.held import holding, told_of

from .conftest import run, stage, table

TABLES = ("pairs", "matched", "clusters", "curated")


@pytest.fixture
def output(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "output")


def states(output):
    """Bytes and time of every file of tables and shards."""
    files = [file for name in (*TABLES, "shards") for file in (output / name).rglob("*") if file.is_file()]
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def image_of(output, pair_id):
    for index in sorted((output / "shards").glob("*.parquet")):
        for row in pq.read_table(index).to_pylist():
            if row["pair_id"] == pair_id:
                tar = index.with_suffix(".tar").read_bytes()
                return tar[row["image_offset"] : row["image_offset"] + row["image_size"]]
    return None


def check_untouched(output, was):
    """Files of tables without a row that went, and shards without a sample that did, are as they were."""
    now, same = states(output), 0
    for file, state in was.items():
        if file.suffix == ".parquet" and "_counts" not in str(file):
            before = pq.read_table(pa.BufferReader(state[0]))
            if before.drop_columns(["image_offset"] if "image_offset" in before.column_names else []).equals(
                (after := pq.read_table(file)).drop_columns(
                    ["image_offset"] if "image_offset" in after.column_names else []
                )
            ):
                assert now[file] == state, file
                same += 1
                if file.parent.name == "shards":
                    assert all(now[other] == was[other] for other in was if other.name.startswith(file.stem))
    assert same


def write_list(tmp_path, *lines):
    (tmp_path / "list").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(tmp_path / "list")


def test_what_is_asked_for_goes_and_the_rest_stays(output, tmp_path):
    """A URL, an image by its bytes, a pair and a text, all of shards, in one list."""
    shards = pa.concat_tables(pq.read_table(file) for file in sorted((output / "shards").glob("*.parquet")))
    rows = {row["pair_id"]: row for row in table(output, "curated").to_pylist()}
    rows = [rows[pair_id] for pair_id in shards["pair_id"].to_pylist()]
    by_url, by_pair, by_image = rows[0], rows[1], rows[2]
    long = [row for row in rows[3:] if len(row["text"]) > 20 and "\n" not in row["text"]]
    by_text = long[0]
    content = image_of(output, by_image["pair_id"])
    sha256 = hashlib.sha256(content).hexdigest()
    pairs = table(output, "pairs")
    same_bytes = {row["pair_id"] for row in shards.to_pylist() if row["sha256"] == sha256}
    urls = {by_url["url"], *(row["url"] for row in rows if row["pair_id"] in same_bytes)}
    goes = pc.or_(pc.is_in(pairs["url"], value_set=pa.array(sorted(urls))), pc.equal(pairs["text"], by_text["text"]))
    goes = pc.or_(goes, pc.equal(pairs["pair_id"], by_pair["pair_id"]))
    gone, copies = pairs.filter(goes), pc.sum(pairs.filter(goes)["copies"]).as_py()
    before, was = {name: table(output, name) for name in TABLES}, states(output)
    explained(str(output), by_url["url"])  # makes an index
    file = write_list(tmp_path, by_url["url"], str(by_pair["pair_id"]), sha256, by_text["text"], "nothing.test")

    looked = remove(str(output), file, dry_run=True)
    assert states(output) == was
    told = remove(str(output), file)
    assert {key: told[key] for key in told if key not in ("id", "when")} == {
        key: looked[key] for key in looked if key not in ("id", "when")
    }
    assert told["asked"] == {"host": 1, "pair_id": 1, "sha256": 1, "text": 1, "url": 1}
    assert told["not_found"] == {"host": 1}
    assert told["pairs"] == told["rows"]["pairs"] == gone.num_rows

    left = pa.array(gone["pair_id"].to_pylist())
    for name in TABLES:
        stays = before[name].filter(pc.invert(pc.is_in(before[name]["pair_id"], value_set=left)))
        after = table(output, name)
        assert after.drop_columns(["cluster_id"] if name == "clusters" else []).equals(
            stays.drop_columns(["cluster_id"] if name == "clusters" else [])
        )
        assert told["rows"].get(name, 0) == before[name].num_rows - stays.num_rows
    needles = [word for row in gone.to_pylist() if row["url"] in urls for word in told_of(row)]
    # Texts that other pairs have, too, stay with those.
    others = set(table(output, "pairs")["text"].to_pylist())
    needles = [word for word in needles if not any(word in text.encode() for text in others)]
    needles += [by_text["text"].encode(), str(by_pair["pair_id"]).encode(), content, sha256.encode()]
    assert holding(output, needles) == []

    check_untouched(output, was)
    assert list(findings(str(output))) == []
    ingest = record.load(str(output), "ingest")
    assert ingest.dropped["removed"] == copies
    for row, by in ((by_url, "url"), (by_text, "text")):
        assert explained(str(output), row[by])["removed"]["by"] == by
    assert explained(str(output), str(by_pair["pair_id"]), "pair_id")["removed"] == {
        "by": "pair_id",
        "when": told["when"],
    }
    assert explained(str(output), by_image["url"])["removed"]["by"] == "image_id"
    asked = CliRunner().invoke(app, ["explain", str(output), by_url["url"]])
    assert f"it was taken out on {told['when']}, by its url" in asked.output
    assert (
        f"{told['pairs']:,} pairs and {told['images']:,} images were taken out later"
        in (output / "README.md").read_text()
    )
    assert "taken out" in (output / "report.html").read_text()
    [line] = json.loads((output / "removals.json").read_text())
    assert line["rows"] == told["rows"]
    assert json.loads((output / "summary.json").read_text())["removals"] == [line]


def test_a_set_that_something_was_taken_out_of_is_up_to_date(output, work, tmp_path, capsys):
    text = table(output, "matched")["text"][0].as_py().rstrip("\n")
    remove(str(output), write_list(tmp_path, text), "text")
    was = states(output)
    summary = run(work / "recipe.yaml", output)
    assert all(line["skipped"] for line in summary["stages"])
    assert "Nothing to do" in capsys.readouterr().out
    assert states(output) == was
    assert stage(summary, "ingest")["dropped"]["removed"] >= 0


def test_what_is_there_and_was_taken_out_is_found(output, tmp_path):
    """As when somebody puts a former table back."""
    pairs = sorted((output / "pairs").glob("*.parquet"))[0]
    content, row = pairs.read_bytes(), pq.read_table(pairs).to_pylist()[0]
    remove(str(output), write_list(tmp_path, str(row["pair_id"])), "pair_id")
    pairs.write_bytes(content)
    found = list(findings(str(output)))
    assert any(line.startswith(f"pairs/{pairs.name}: ") for line in found)
    (output / "tombstones.parquet").unlink()
    assert "tombstones.parquet: missing" in list(findings(str(output)))


def test_what_is_refused(output, tmp_path):
    was = states(output)
    file = write_list(tmp_path, "a text")
    with pytest.raises(UsageError, match="no output of this project"):
        remove(str(tmp_path), file)
    with pytest.raises(UsageError, match="--as no: allowed are url, host"):
        remove(str(output), file, "no")
    with pytest.raises(UsageError, match="no such file"):
        remove(str(output), str(tmp_path / "none"))
    assert states(output) == was
    assert not (output / "tombstones.parquet").exists()
