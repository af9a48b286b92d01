"""``verify``: a finished set has no findings, and each fault is found by the name of the file that has it."""

import hashlib
import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from pipeline import storage
from pipeline.command.main import app
from pipeline.command.verify import findings


@pytest.fixture
def output(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "output")


def first(output, table):
    """The first file of a table that has rows."""
    return next(file for file in sorted((output / table).glob("*.parquet")) if pq.read_metadata(file).num_rows)


def flip(file, at=None):
    content = bytearray(file.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    file.write_bytes(content)


def edit_recipe(output, section, **keys):
    file = output / "recipe.yaml"
    content = yaml.safe_load(file.read_text())
    content[section] |= keys
    file.write_text(yaml.safe_dump(content))


def swap(one, other):
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def forge(output):
    """Makes records and manifest say of each file what it is now, so that its content alone is wrong."""
    manifest = json.loads((output / "manifest.json").read_text())
    for line in manifest["files"]:
        redescribe(output, line)
    for file in (output / ".stages").glob("*.json"):
        content = json.loads(file.read_text())
        for line in content["files"]:
            redescribe(output, line)
        storage.write_json(str(file), content)
    described = json.loads((output / ".described.json").read_text())
    for line in described:
        redescribe(output, line)
    storage.write_json(str(output / ".described.json"), described)
    storage.write_json(str(output / "manifest.json"), manifest)


def redescribe(output, line):
    content = (output / line["path"]).read_bytes()
    line |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    if "rows" in line:
        line["rows"] = pq.read_metadata(output / line["path"]).num_rows


def rewrite(file, change):
    """Writes the rows of a Parquet file as ``change`` makes them of them."""
    table = pq.read_table(file)
    pq.write_table(change(table).cast(table.schema), file)


def change_column(name, make):
    return lambda table: table.set_column(table.schema.get_field_index(name), name, make(table[name]))


def reshard(output, name, change):
    """Changes a shard's tar, and makes its lines say so."""
    tar = output / "shards" / f"{name}.tar"
    tar.write_bytes(change(tar.read_bytes()))
    manifest = json.loads((output / "shards/manifest.json").read_text())
    [line] = [line for line in manifest["shards"] if line["shard"] == f"{name}.tar"]
    line |= {"sha256": hashlib.sha256(tar.read_bytes()).hexdigest(), "bytes": tar.stat().st_size}
    storage.write_json(str(output / "shards/manifest.json"), manifest)
    storage.write_json(str(output / "shards" / f"{name}_stats.json"), line)


def double_shard(output):
    """The second shard is the first once more."""
    for ending in (".tar", ".parquet", "_stats.json"):
        shutil.copy(output / f"shards/00000{ending}", output / f"shards/00001{ending}")


def forge_double(output):
    double_shard(output)
    manifest = json.loads((output / "shards/manifest.json").read_text())
    manifest["shards"][1] = manifest["shards"][0] | {"shard": "00001.tar"}
    storage.write_json(str(output / "shards/manifest.json"), manifest)
    storage.write_json(str(output / "shards/00001_stats.json"), manifest["shards"][1])


def edit_json(file, change):
    content = json.loads(file.read_text())
    change(content)
    storage.write_json(str(file), content)


def test_a_finished_set_has_no_findings(finished):
    assert list(findings(str(finished))) == []
    done = CliRunner().invoke(app, ["verify", str(finished)])
    assert done.exit_code == 0
    assert re.fullmatch(rf"No findings in [\d.]+ s: {finished}\n", done.output)


FLIPPED = ["pairs", "matched", "matched/_lists", "matched/_counts", "clusters/_counts", "entry_counts", "thresholds",
           "curated"]  # fmt: skip
NAMED = ["shards/00001.tar", "shards/00000.parquet", "shards/00000_stats.json", "shards/sizes.json",
         "shards/manifest.json", "README.md", "croissant.json", "summary.json", "distribution.png"]  # fmt: skip


def test_a_flipped_byte_is_found_in_each_kind_of_file(output):
    files = [first(output, table) for table in FLIPPED] + [output / name for name in NAMED]
    for file in files:
        flip(file)
    found = list(findings(str(output)))
    for file in files:
        name = str(file.relative_to(output))
        assert [line for line in found if line.startswith(f"{name}: ")], (name, found)
    said = {line.split(": ")[0] for line in found}
    assert said <= {str(file.relative_to(output)) for file in files} | {"manifest.json"}
    done = CliRunner().invoke(app, ["verify", str(output)])
    assert done.exit_code == 1
    *lines, last = done.output.splitlines()
    assert lines == found
    assert last.startswith(f"{len(found)} findings in ")


@pytest.mark.parametrize("name", ["manifest.json", ".described.json"])
def test_no_byte_of_the_hashes_can_be_flipped(name, output):
    file = output / name
    content = file.read_bytes()
    for at in np.random.default_rng(0).choice(len(content), 5, replace=False):
        flip(file, at)
        assert [line for line in findings(str(output)) if not line.startswith("shards")], at
        file.write_bytes(content)


def test_no_byte_of_a_record_can_be_flipped(output):
    """One that cannot be read has findings on what it stands for, too; where its times stand its bytes move."""
    file = output / ".stages/match.json"
    content = file.read_bytes()
    for at in np.random.default_rng(0).choice(len(content), 8, replace=False):
        flip(file, at)
        assert [line for line in findings(str(output)) if line.startswith(".stages/match.json: ")], at
        file.write_bytes(content)


# What is done to an output, and what its findings are, in order.
FAULTS = {
    "missing shard": (
        lambda out: (out / "shards/00001.tar").unlink(), ["shards/00001.tar: missing"]),
    "missing file of a table": (
        lambda out: first(out, "pairs").unlink(), ["pairs/part-.*parquet: missing"]),
    "missing manifest": (
        lambda out: (out / "manifest.json").unlink(), ["manifest.json: missing"]),
    "missing hashes": (
        lambda out: (out / ".described.json").unlink(), [".described.json: missing"]),
    "missing record": (
        lambda out: (out / ".stages/dedupe.json").unlink(),
        [".stages/dedupe.json: missing", "clusters: extra: no finished stage wrote it", ".stages/dedupe.json: missing",
         r".stages/balance.json: [\d,]+ rows in, but match has [\d,]+ out"]),
    "extra shard": (
        lambda out: shutil.copy(out / "shards/00000.tar", out / "shards/00099.tar"),
        ["shards/00099.tar: extra: not in the manifest"]),
    "extra file of a table": (
        lambda out: shutil.copy(first(out, "curated"), out / "curated/part-00099.parquet"),
        ["curated/part-00099.parquet: extra"]),
    "extra file in the output": (
        lambda out: (out / "notes.txt").write_text("x"), ["notes.txt: extra: not of this project"]),
    "table of no stage": (
        lambda out: shutil.copytree(out / "curated", out / "filtered"),
        ["filtered: extra: no finished stage wrote it"]),
    "truncated tar": (
        lambda out: (out / "shards/00000.tar").write_bytes((out / "shards/00000.tar").read_bytes()[:-5000]),
        [r"shards/00000.tar: has [\d,]+ bytes, the manifest says [\d,]+"]),
    "swapped index": (
        lambda out: swap(out / "shards/00000.parquet", out / "shards/00001.parquet"),
        [r"shards/00000.parquet: (has [\d,]+ bytes|its SHA-256)", r"shards/00001.parquet: (has [\d,]+ bytes|its SHA)"]),
    "doubled shard": (
        double_shard, [r"shards/00001.parquet: ", r"shards/00001.tar: ", r"shards/00001_stats.json: "]),
    "edited recipe": (
        lambda out: edit_recipe(out, "balance", t=13),
        ["recipe.yaml: (has|its SHA-256)", r"recipe.yaml: balance.t is 13\.0, but balance was made with 12\.0"]),
    "edited recipe, where no table depends on it": (
        lambda out: edit_recipe(out, "match", engine="reference"), ["recipe.yaml: (has|its SHA-256)"]),
    "recipe that is none": (
        lambda out: (out / "recipe.yaml").write_text("name: [\n"),
        ["recipe.yaml: not valid YAML in line 2", r"recipe.yaml: has 8 bytes"]),
    "rows that do not add up": (
        lambda out: edit_json(out / ".stages/match.json", lambda record: record.update(rows_in=record["rows_in"] + 1)),
        [".stages/match.json: (has|its SHA)", r".stages/match.json: [\d,]+ rows in, but [\d,]+ out and [\d,]+ dropped",
         r".stages/match.json: [\d,]+ rows in, but ingest has [\d,]+ out"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(fault, output):
    make, expected = FAULTS[fault]
    make(output)
    check(output, expected)


# The same where manifest and records agree with what is there: what the set says of itself is wrong.
FORGED = {
    "truncated tar": (
        lambda out: reshard(out, "00000", lambda content: content[:-30_000]),
        [r"shards/00000.tar: (.* is missing, which the index has|ends within )"]),
    "changed image": (
        lambda out: reshard(out, "00001", lambda content: content.replace(b"IHDR", b"IHDS", 1)),
        ["shards/00001.tar: .* is not the image whose SHA-256 the index has"]),
    "swapped index": (
        lambda out: swap(out / "shards/00000.parquet", out / "shards/00001.parquet"),
        [r"shards/00000.parquet: .* is at [\d,]+ with [\d,]+ bytes, the index has nothing",
         r"shards/00001.parquet: .* is at [\d,]+ with [\d,]+ bytes, the index has nothing",
         "shards/00001.tar: has keys of a shard before it, or out of order"]),
    "wrong offset": (
        lambda out: rewrite(out / "shards/00000.parquet", change_column("txt_offset", lambda c: pc.add(c, 1))),
        [r"shards/00000.parquet: .*\.txt is at "]),
    "doubled shard": (
        forge_double, ["shards/00001.tar: has keys of a shard before it, or out of order"]),
    "pair that is not in the table": (
        lambda out: rewrite(first(out, "curated"), lambda table: table[1:]),
        [r".stages/balance.json: ", r"shards/\d+.tar: sample [0-9a-f]{16} is not in curated",
         r"shards: [\d,]+ samples and [\d,]+ dropped, but curated has [\d,]+ pairs"]),
    "pair twice": (
        lambda out: rewrite(first(out, "curated"), lambda table: pa.concat_tables([table[:1], table])),
        [r".stages/balance.json: [\d,]+ rows out, but curated has", "curated: pair -?[0-9]+ is there twice",
         "shards: "]),
    "changed text": (
        lambda out: rewrite(first(out, "curated"), change_column("text", lambda c: pc.utf8_upper(c))),
        [r"curated/part-00000.parquet: pair -?\d+ is not that of its URL and text"]),
    "changed draw": (
        lambda out: rewrite(first(out, "curated"), change_column("draw", lambda c: pc.multiply(c, 0.5))),
        [r"curated: the draw of pair -?\d+ is not that of its pair_id and the seed"]),
    "changed probability": (
        lambda out: rewrite(first(out, "curated"), change_column("keep_probability", lambda c: pc.divide(c, 2))),
        [r"curated: the keep probability of pair -?\d+ is not that of its entries"]),
    "changed count": (
        lambda out: rewrite(first(out, "entry_counts"), change_column("kept", lambda c: pc.add(c, 1))),
        [r"entry_counts: '.*' has [\d,]+ kept pairs, curated has [\d,]+; [\d,]+ entries differ"]),
    "column of another type": (
        lambda out: pq.write_table(pa.table({"pair_id": pa.array([], pa.int64())}), first(out, "matched")),
        [".stages/match.json: ", "matched/part-00000.parquet: has no column image_id"]),
    "copies that are not counted": (
        lambda out: rewrite(first(out, "pairs"), change_column("copies", lambda c: pc.add(c, 1))),
        [r"pairs: copies count [\d,]+ repeats, .stages/ingest.json says [\d,]+"]),
    "kept duplicate": (
        lambda out: rewrite(first(out, "clusters"), change_column("kept", lambda c: pa.array([False] * len(c)))),
        [r"clusters: [\d,]+ pairs are removed, .stages/dedupe.json says [\d,]+",
         r"curated: pair -?\d+ is there, which clusters removed as a near-duplicate"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FORGED)
def test_faults_are_found_that_manifest_and_records_agree_with(fault, output):
    make, expected = FORGED[fault]
    make(output)
    forge(output)
    check(output, expected)


def check(output, expected):
    found = list(findings(str(output)))
    for pattern in expected:
        assert [line for line in found if re.match(pattern, line)], (pattern, found)
    assert not [line for line in found if "cannot be read" in line], found


def test_no_output_is_wrong_usage(tmp_path):
    done = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert "no output of this project (recipe.yaml is missing)" in str(done.exception)
