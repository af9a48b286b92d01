"""From crawl files to a curated set: the stage, the store that it leaves, and what a run does again."""

import gzip
import json
import os
import time

import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from pipeline.curate import curate
from pipeline.errors import PipelineError, UsageError
from pipeline.extract.inputs import CrawlFile, crawl_files
from pipeline.paths import open_filesystem
from pipeline.recipe import load_recipe
from pipeline.secrets import public
from tests.extract.files import image, metadata, packed, page

NAMES = ["cat", "dog", "fox", "owl", "elk"]


@pytest.fixture
def work(tmp_path, spark):
    """A folder with a recipe and five crawl files of three pages each."""
    (tmp_path / "words.txt").write_text("\n".join(NAMES))
    (tmp_path / "recipe.yaml").write_text(
        f"name: crawl\ninput: {{format: warc}}\nlanguage: {{identify: none}}\ndedupe: {{scope: none}}\n"
        f"entries: {{en: {tmp_path}/words.txt}}\nbalance: {{t: 100}}\n"
    )
    (tmp_path / "crawl").mkdir()
    for number, name in enumerate(NAMES):
        pages = [
            page(f"<img src={n}.jpg alt='a {name} {n}'>", url=f"https://{name}.example.org/{n}/") for n in range(3)
        ]
        (tmp_path / "crawl" / f"{number}.warc.gz").write_bytes(packed(*pages))
    return tmp_path


def run(work, *settings, inputs=None, stages=("extract",), output="output", **options):
    recipe = load_recipe(str(work / "recipe.yaml"), list(settings), inputs or [str(work / "crawl")])
    return curate(recipe, str(work / output), stages and list(stages), **options)


def texts(work, output="output", table="extracted"):
    return sorted(pq.read_table(work / output / table)["text"].to_pylist())


def stage(summary, name="extract"):
    return next(line for line in summary["stages"] if line["stage"] == name)


ALL = sorted(f"a {name} {n}" for name in NAMES for n in range(3))


def test_a_crawl_becomes_a_set_and_is_read_once(work):
    found = run(work, stages=None)
    assert texts(work) == texts(work, table="curated") == ALL
    assert (stage(found)["in"], stage(found)["out"], stage(found)["pages"]) == (15, 15, {"read": 15})
    assert stage(found)["pairs_of_relative_urls"] == 15
    table = pq.read_table(work / "output" / "crawl_files").to_pylist()
    assert [line["pairs"] for line in table] == [3] * 5
    assert {line["file"] for line in table} == {path.name for path in (work / "output" / "extracted").iterdir()}
    assert all(line["skipped"] for line in run(work, stages=None)["stages"])
    assert json.loads((work / "output" / "summary.json").read_text())["stages"][0]["stage"] == "extract"
    assert "extracted" in (work / "output" / "manifest.json").read_text()


@pytest.mark.slow
def test_only_new_and_changed_files_are_read_again(work):
    run(work)
    (work / "crawl" / "5.warc.gz").write_bytes(packed(page("<img src=x.jpg alt='an elk and a cat'>")))
    (work / "crawl" / "0.warc.gz").write_bytes(packed(page("<img src=y.jpg alt='another cat'>")))
    (work / "crawl" / "1.warc.gz").unlink()
    found = run(work)
    assert (stage(found)["files"], stage(found)["files_read_before"]) == (5, 3)
    left = [text for text in ALL if " cat " not in text and " dog " not in text]
    assert texts(work) == sorted([*left, "an elk and a cat", "another cat"])
    assert len(list((work / "output" / "extracted").iterdir())) == 5
    again = run(work, "extract.opt_outs=false")
    assert stage(again)["files_read_before"] == 0
    assert stage(run(work, "extract.opt_outs=false", force=True))["files_read_before"] == 0


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_files_that_are_not_done(work):
    run(work)
    for name in (".stages", "crawl_files"):
        path = work / "output" / name
        [file.unlink() for file in path.iterdir()]
    done = sorted((work / "output" / "extracted").iterdir())
    done[0].unlink()
    (work / "output" / "extracted" / f".{done[0].name}-7").write_bytes(b"half")
    found = run(work)
    assert stage(found)["files_read_before"] == 4
    assert texts(work) == ALL
    assert sorted((work / "output" / "extracted").iterdir()) == done


@pytest.mark.slow
def test_stages_run_alone_give_the_same(work):
    whole = run(work, stages=None)
    recipe = lambda inputs: load_recipe(str(work / "recipe.yaml"), None, inputs)  # noqa: E731
    curate(recipe([str(work / "crawl")]), str(work / "alone"), ["extract"])
    for name in ("ingest", "match", "dedupe", "balance"):
        curate(recipe(None), str(work / "alone"), [name])
    assert [stage(whole, "ingest")["out"]] == [15]
    for table in ("pairs", "curated"):
        files = [sorted((work / output / table).glob("*.parquet")) for output in ("output", "alone")]
        assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
    with pytest.raises(UsageError, match=r"no finished crawl_files; run the stage extract first"):
        curate(recipe(None), str(work / "empty"), ["ingest"])


def test_what_is_damaged_is_named_and_strict_ends_the_run(work):
    whole = (work / "crawl" / "2.warc.gz").read_bytes()
    (work / "crawl" / "2.warc.gz").write_bytes(whole[:-30])
    (work / "crawl" / "6.warc.gz").write_bytes(b"<Error/>")
    found = stage(run(work))
    assert found["damaged"] == 2
    assert {line["file"].rsplit("/", 1)[1]: line["error"] for line in found["damaged_files"]} == {
        "2.warc.gz": "ends too early",
        "6.warc.gz": "is no WARC file: begins with b'<Erro'",
    }
    with pytest.raises(PipelineError, match=r"^--strict: .*2.warc.gz: ends too early"):
        run(work, strict=True, output="strict")


def test_metadata_is_read_by_its_format(work):
    (work / "crawl" / "0.warc.wat.gz").write_bytes(packed(metadata([image("a.jpg", "a cat")], {"Metas": [
        {"name": "HTML@/lang", "content": "en-US"}]})))  # fmt: skip
    found = stage(run(work, "input.format=wat"))
    assert (found["files"], found["files_of_other_names"]) == (1, 5)
    assert texts(work) == ["a cat"]
    run(work, "input.format=wat", "language.identify=column", output="by-page", stages=["extract", "ingest"])
    assert pq.read_table(work / "by-page" / "pairs")["language"].to_pylist() == ["en"]


@pytest.mark.slow
@pytest.mark.parametrize("packed_list", [True, False])
def test_a_list_of_paths_names_the_files(work, packed_list):
    lines = b"crawl/0.warc.gz\n\ncrawl/3.warc.gz\n"
    listed = work / ("warc.paths.gz" if packed_list else "warc.paths")
    listed.write_bytes(gzip.compress(lines) if packed_list else lines)
    assert stage(run(work, inputs=[str(listed)]))["files"] == 2
    assert texts(work) == [text for text in ALL if "cat" in text or "owl" in text]
    run(work, f"extract.prefix={work}", inputs=[str(listed)], output="prefixed")
    assert texts(work, "prefixed") == texts(work)
    with pytest.raises(UsageError, match=r"^--input: no image with a text in 2 warc file\(s\); .*nowhere.*0.warc.gz"):
        run(work, f"extract.prefix={work}/nowhere/", inputs=[str(listed)], output="nowhere")


def test_a_store_that_nobody_knows_is_one_line(work):
    (work / "warc.paths").write_text("a.warc.gz\nb.warc.gz\n")
    with pytest.raises(UsageError, match=r"^nostore://x/[ab].warc.gz: "):
        run(work, "extract.prefix=nostore://x", inputs=[str(work / "warc.paths")])


def test_ninety_thousand_paths_are_planned_at_once(work):
    (work / "warc.paths").write_text("".join(f"crawl-data/segments/{n:05d}.warc.gz\n" for n in range(90_000)))
    started = time.monotonic()
    files, others = crawl_files([str(work / "warc.paths")], "warc", "s3://commoncrawl/")
    assert (len(files), others) == (90_000, 0)
    assert files[0].path == "s3://commoncrawl/crawl-data/segments/00000.warc.gz"
    assert len({file.name({}) for file in files}) == 90_000
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["input.preset=laion"], "input.preset: is for tables; with input.format warc leave it out"),
        (["input.pass_through=[x]"], "input.pass_through: is for tables"),
        (["extract.prefix=https://x/"], "extract.prefix: is for files that list paths"),
        (["input.format=wat"], r"--input .*: no file is called .wat, .wat.gz or .wat.zst"),
        (["extract.text_sources=[]"], "extract.text_sources"),
        (["extract.text_sources=[caption]"], "extract.text_sources"),
    ],
)
def test_a_wrong_recipe_is_one_line(work, settings, says):
    with pytest.raises(UsageError, match=says):
        run(work, *settings)
    assert not (work / "output" / "pairs").exists()
    with pytest.raises(UsageError, match=r"input.format: found parquet; pairs are extracted from wat or warc"):
        run(work, "input.format=parquet", stages=["extract"])


def test_a_crawl_without_a_pair_ends_with_a_line(work):
    for file in (work / "crawl").iterdir():
        file.write_bytes(packed(page("nothing")))
    with pytest.raises(UsageError, match=r"^--input: no image with a text in 5 warc file\(s\)$"):
        run(work)


def with_options(bucket):
    """A bucket's URL and its options; the session's workers have not the environment of the test."""
    host = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    return bucket.replace("//", "//testing:testing@"), f"?scheme=http&endpoint_override={host}&region=us-east-1"


@pytest.mark.slow
def test_from_a_store(work, bucket):
    bucket, options = with_options(bucket)
    filesystem, inner = open_filesystem(f"{bucket}/crawl{options}")
    pafs.copy_files(str(work / "crawl"), inner, destination_filesystem=filesystem)
    assert stage(run(work, inputs=[f"{bucket}/crawl{options}"], output="stored"))["out"] == 15
    assert texts(work, "stored") == ALL
    (work / "warc.paths").write_text(f"crawl/0.warc.gz{options}\ncrawl/9.warc.gz{options}\n")
    found = stage(run(work, f"extract.prefix={bucket}/", inputs=[str(work / "warc.paths")], output="listed"))
    assert found["out"] == 3
    assert [line["file"] for line in found["damaged_files"]] == [public(f"{bucket}/crawl/9.warc.gz{options}")]


@pytest.mark.slow
def test_a_file_that_was_not_given_is_asked_for_again_by_the_next_run(work, bucket):
    bucket, options = with_options(bucket)
    filesystem, inner = open_filesystem(f"{bucket}/crawl{options}")
    pafs.copy_files(str(work / "crawl"), inner, destination_filesystem=filesystem)
    late = f"{inner}/4.warc.gz"
    filesystem.delete_file(late)
    (work / "warc.paths").write_text("".join(f"crawl/{n}.warc.gz{options}\n" for n in range(5)))

    def again():
        return run(
            work,
            f"extract.prefix={bucket}/",
            inputs=[str(work / "warc.paths")],
            stages=["extract", "ingest"],
        )

    def written():
        folder = work / "output"
        of_runs = (".lock", "events.jsonl")
        found = (file for file in folder.rglob("*") if file.is_file() and file.name not in of_runs)
        return {file: file.stat().st_mtime_ns for file in found}

    first = again()
    assert (stage(first)["files_not_given"], stage(first)["damaged"], stage(first)["out"]) == (1, 1, 12)
    before = written()
    second = again()
    assert [line["skipped"] for line in second["stages"]] == [True, True]
    assert [line["file"] for line in stage(second)["damaged_files"]] == [public(f"{bucket}/crawl/4.warc.gz{options}")]
    assert written() == before
    pafs.copy_files(str(work / "crawl" / "4.warc.gz"), late, destination_filesystem=filesystem)
    third = again()
    assert [line["skipped"] for line in third["stages"]] == [False, False]
    assert (stage(third)["files_read_before"], stage(third)["files_not_given"], stage(third)["damaged"]) == (4, 0, 0)
    assert texts(work) == texts(work, table="pairs") == ALL


def test_the_name_of_what_was_read_has_no_part_of_keys():
    """So that files are known again with other keys, or with none, as an append has them."""
    names = {
        CrawlFile(f"{user}bucket/a.wat.gz?region=x", 7, 8).name({"kind": "wat"})
        for user in ("s3://", "s3://ME:secret@", "s3://OTHER:secret@")
    }
    assert len(names) == 1
    assert CrawlFile("s3://bucket/b.wat.gz?region=x", 7, 8).name({"kind": "wat"}) not in names
