"""Bad input is counted by reason and never kills a job; wrong usage ends at once with one line."""

import gzip
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.curate import check_output
from pipeline.errors import PipelineError, UsageError
from pipeline.ingest import plan
from pipeline.recipe import Input, load_recipe
from pipeline.recipe_file import to_yaml
from tests.e2e.conftest import run, stage, table
from tests.pool import PREFIX, rows


def damaged_pool(folder):
    """A good Parquet file, a truncated one, a truncated gzip, an empty file, and rows of every kind of bad."""
    folder.mkdir()
    found = rows(300)
    columns = dict(zip(("url", "text", "language"), map(list, zip(*found, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / "good.parquet")
    (folder / "cut.parquet").write_bytes((folder / "good.parquet").read_bytes()[:-100])
    lines = "url\ttext\tlanguage\n" + "".join(f"{PREFIX}{i}.png\ta cat of number {i * i}\ten\n" for i in range(2000))
    (folder / "cut.tsv.gz").write_bytes(gzip.compress(lines.encode())[:-200])
    (folder / "empty.tsv").write_bytes(b"")
    bad = [
        b"\ta cat\ten", b"http://x/1\t\ten", b"http://x/1\t \ten", b"http://x/1\t\xff\ten", b"http://x/1\t\0\ten", b"x\ta cat\ten",
        b"http://x/1\ta cat\tEnglish", b"one column", b"http://x/1\t" + b"cat " * 2_500_000 + b"\ten", b"http://x/1\ta cat\ten",
    ]  # fmt: skip
    (folder / "bad.tsv").write_bytes(b"url\ttext\tlanguage\n" + b"\n".join(bad) + b"\n")
    return folder


def test_the_job_goes_on_and_names_the_files(work, tmp_path, capsys):
    folder = damaged_pool(tmp_path / "in")
    run(work / "recipe.yaml", tmp_path / "out", inputs=[str(folder)])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    ingest = stage(summary, "ingest")
    named = {line["file"].rsplit("/", 1)[1]: line["reason"] for line in ingest["damaged_files"]}
    assert named == {"cut.parquet": "unreadable", "cut.tsv.gz": "truncated"}
    want = {"missing_url": 1, "empty_text": 2, "invalid_utf8": 1, "nul": 1, "bad_url": 1, "bad_language": 1,
            "malformed_row": 1, "text_too_long": 1, "truncated": 1}  # fmt: skip
    assert {k: v for k, v in ingest["dropped"].items() if k != "duplicate"} == want
    kept = [text for text in table(tmp_path / "out", "pairs")["text"].to_pylist() if "of number" in text]
    assert 1000 < len(kept) < 2000
    assert set(kept) == {f"a cat of number {i * i}" for i in range(len(kept))}
    said = capsys.readouterr().out
    assert "cut.parquet" in said
    assert "cut.tsv.gz" in said


def test_strict_fails_instead(work, tmp_path):
    folder = damaged_pool(tmp_path / "in")
    with pytest.raises(PipelineError, match=r"--strict: .*cut.parquet") as error:
        run(work / "recipe.yaml", tmp_path / "out", inputs=[str(folder)], strict=True)
    assert error.value.exit_code == 1
    (folder / "cut.parquet").unlink()
    with pytest.raises(PipelineError, match=r"--strict: .*cut.tsv.gz"):
        run(work / "recipe.yaml", tmp_path / "out", inputs=[str(folder)], strict=True)
    assert not (tmp_path / "out" / "pairs").exists()
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_damage_that_only_a_task_sees(work, tmp_path, monkeypatch):
    """Of very many files not all are opened before anything starts; each damaged one is named with what is wrong."""
    monkeypatch.setattr(plan, "OPENED", 2)
    (tmp_path / "in").mkdir()
    columns = {"url": [f"{PREFIX}1.png"], "text": ["a cat"], "language": ["en"]}
    for number, name in enumerate(("0", "1-lacks", "2", "3", "4-broken")):
        found = {key: column for key, column in columns.items() if key != "text" or number != 1}
        pq.write_table(pa.table(found), tmp_path / "in" / f"{name}.parquet")
    broken = tmp_path / "in" / "4-broken.parquet"
    broken.write_bytes(broken.read_bytes()[:-9])
    (tmp_path / "in" / "5-utf32.tsv").write_text("url\ttext\tlanguage\n", "utf-32")
    assert [split.opened for split in plan.plan(Input(paths=[str(tmp_path / "in")]), True).splits] == [
        True,
        False,
        False,
    ] * 2
    summary = run(work / "recipe.yaml", tmp_path / "out", inputs=[str(tmp_path / "in")], stages=["ingest"])
    named = {line["file"].rsplit("/", 1)[1]: line for line in stage(summary, "ingest")["damaged_files"]}
    assert {name: line["reason"] for name, line in named.items()} == dict.fromkeys(
        ("1-lacks.parquet", "4-broken.parquet", "5-utf32.tsv"), "unreadable"
    )
    assert "no column 'text' for text" in named["1-lacks.parquet"]["error"]
    assert "UTF-32" in named["5-utf32.tsv"]["error"]
    with pytest.raises(PipelineError, match=r"--strict: .*1-lacks.parquet: .*no column 'text'"):
        run(
            work / "recipe.yaml",
            tmp_path / "out",
            inputs=[str(tmp_path / "in")],
            stages=["ingest"],
            strict=True,
            force=True,
        )


@pytest.mark.parametrize("content", [b"", b"url\ttext\tlanguage\n", b"\n\n"])
def test_empty_input(work, tmp_path, content):
    (tmp_path / "in.tsv").write_bytes(content)
    with pytest.raises(UsageError, match=r"--input: no rows in 1 file\(s\)"):
        run(work / "recipe.yaml", tmp_path / "out", inputs=[str(tmp_path / "in.tsv")])


def test_a_pool_that_matches_nothing(work, tmp_path):
    (tmp_path / "in.tsv").write_text("url\ttext\tlanguage\nhttp://x/1\tqqq\ten\nhttp://x/2\twww\tfr\n")
    summary = run(work / "recipe.yaml", tmp_path / "out", inputs=[str(tmp_path / "in.tsv")])
    assert stage(summary, "match")["dropped"] == {"no_entry_list": 1, "no_match": 1}
    assert table(tmp_path / "out", "curated").num_rows == 0
    assert json.loads((tmp_path / "out" / "shards" / "sizes.json").read_text()) == {}


def test_every_row_bad(work, tmp_path):
    (tmp_path / "in.tsv").write_text("url\ttext\tlanguage\nno url\tcat\ten\n")
    summary = run(work / "recipe.yaml", tmp_path / "out", inputs=[str(tmp_path / "in.tsv")])
    assert stage(summary, "ingest")["dropped"] == {"bad_url": 1}
    assert stage(summary, "shards")["out"] == 0


@pytest.mark.parametrize("name", ["2024-01-01", "1e3", "null", "no", "007", "0x1F", "1_000", "1.5", "true", "N"])
def test_an_output_is_of_its_recipe_whatever_the_name(tmp_path, work, name):
    """Names that YAML quotes, or takes for something else; as they are written now, and were before."""
    (tmp_path / "one.yaml").write_text((work / "recipe.yaml").read_text().replace("name: test", f"name: '{name}'"))
    recipe = load_recipe(str(tmp_path / "one.yaml"))
    for text in (to_yaml(recipe), f"name: {name}\n", f"seed: 1\nname: '{name}'  # mine\n"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "recipe.yaml").write_text(text)
        check_output(str(tmp_path / "out"), recipe, force=False)
    (tmp_path / "out" / "recipe.yaml").write_text(to_yaml(recipe))
    assert load_recipe(str(tmp_path / "out" / "recipe.yaml")) == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "recipe.yaml: not valid YAML in line"),
        ("name: a\0b", "recipe.yaml: not valid YAML: unacceptable character #x0000: special characters"),
        ("- a", "holds the output of recipe '?', not 'test'"),
        ("seed: 1", "holds the output of recipe '?', not 'test'"),
        ("", "holds the output of recipe '?', not 'test'"),
        ("name: {name: test}", "holds the output of recipe {'name': 'test'}, not 'test'"),
    ],
)
def test_a_broken_recipe_in_the_output_is_named(tmp_path, work, text, said):
    (tmp_path / "recipe.yaml").write_text(text)
    recipe = load_recipe(str(work / "recipe.yaml"))
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        check_output(str(tmp_path), recipe, force=False)
    assert str(error.value).startswith(f"--output {tmp_path}: ")
    assert "\n" not in str(error.value)
    check_output(str(tmp_path), recipe, force=True)


def test_outputs_that_are_refused(work, tmp_path, finished):
    other = tmp_path / "other.yaml"
    other.write_text((work / "recipe.yaml").read_text().replace("name: test", "name: other"))
    with pytest.raises(UsageError, match="holds the output of recipe 'test', not 'other'"):
        run(other, finished)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("")
    for force in (False, True):
        with pytest.raises(UsageError, match=r"holds 'chapter1.tex', which is not of this project"):
            run(work / "recipe.yaml", tmp_path / "thesis", force=force)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--output"):
        run(work / "recipe.yaml", tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be written"):
        run(work / "recipe.yaml", tmp_path / "file" / "below")


def test_missing_images_folder(work, tmp_path):
    with pytest.raises(UsageError, match=r"images.root: .*none: no such folder"):
        run(work / "recipe.yaml", tmp_path / "out", f"images.root={tmp_path}/none")
