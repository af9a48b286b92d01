"""Shards of every kind - compressed, by braces, of a web server and a store, damaged - in every command that reads them."""

import json
from contextlib import ExitStack

import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.errors import UsageError
from pipeline.train import evaluate, moderate, score, search, tag
from pipeline.train.given import find_tars
from pipeline.train.shards import ShardSet
from pipeline.train.stream import ShardStream, _in_passes

from .conftest import invoke
from .packed import PACKS, every, packed, short_waits  # noqa: F401
from .runs import lines
from .servers import served


@pytest.mark.parametrize("kind", PACKS)
def test_compressed_tars_have_the_samples_of_plain_ones(shard_set, tmp_path, kind):
    folder = packed(shard_set, tmp_path / "in", kind)
    whole, found = ShardSet([str(shard_set)], tmp_path / "a"), ShardSet([str(folder)], tmp_path / "b")
    assert every(found) == every(whole)
    assert found.samples([(2, 3), (0, 1), (2, 1)]) == whole.samples([(2, 3), (0, 1), (2, 1)])
    in_passes = _in_passes(ShardStream([str(folder)]).tars, 0)
    keys = [next(in_passes).key for _ in range(60)]
    assert sorted(keys) == sorted(key for shard in range(3) for key in whole.keys(shard).to_pylist())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{00..02}.tar", ["00.tar", "01.tar", "02.tar"]),
        ("{02,00}.tar", ["02.tar", "00.tar"]),
        ("{a,b}/{0..1}.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{a,b}/*.tar", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{a,b}", ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"]),
        ("{00..01}.tar::@/{a,b}/1.tar", ["00.tar", "01.tar", "a/1.tar", "b/1.tar"]),
        ("a::@/02.tar", None),
        ("a/::@/02.tar", ["a/0.tar", "a/1.tar", "02.tar"]),
        ("{00..03}.tar", "03.tar: no such file"),
        ("{00..03.tar", "a brace without its other"),
        ("packed", ["packed/1.tar", "packed/2.tar.gz"]),
        ("twice", "twice/1.tar.gz: is there as 1.tar, too"),
        ("empty", "a folder without .tar files"),
    ],
)
def test_braces_patterns_and_folders(tmp_path, pattern, expected):
    for name in ("00.tar", "01.tar", "02.tar", "a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar", "packed/1.tar", "packed/2.tar.gz",
                 "packed/.3.tar", "twice/1.tar", "twice/1.tar.gz", "empty/x.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pattern = f"{tmp_path}/{pattern}".replace("@", str(tmp_path))
    if not isinstance(expected, list):
        with pytest.raises(UsageError, match=expected or "no such file"):
            find_tars(pattern)
    else:
        assert find_tars(pattern) == [f"{tmp_path}/{name}" for name in expected]


def test_braces_of_urls_and_commands():
    assert find_tars("https://x.test/{0..1}.tar?a={b,c}") == [
        f"https://x.test/{n}.tar?a={v}" for n in (0, 1) for v in "bc"
    ]
    assert find_tars("pipe:curl -s https://x.test/{0..1}.tar | cat") == [
        f"pipe:curl -s https://x.test/{n}.tar | cat" for n in (0, 1)
    ]


@pytest.mark.slow
def test_credentials_are_in_nothing_that_a_run_writes(shard_set, recipe, train, tmp_path):
    packed(shard_set, tmp_path / "in", "tar")
    with served(tmp_path / "in") as server:
        url = f"http://me:parole@{server.host}/{{00000..00002}}.tar?X-Amz-Signature=parole"
        train(recipe(data__shards=f'["{url}"]', steps=1), tmp_path / "run")
        again = url.replace("Signature=parole", "Signature=other")
        last = train(recipe(data__shards=f'["{again}"]', steps=2), tmp_path / "run")
        assert last["step"] == 2
    texts = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert len(texts) > 5
    assert not [file for file in texts if b"parole" in file.read_bytes()]


KINDS = ["braces", "tar.gz", "tar.zst", "http", "http that cuts", "s3", "truncated"]


@pytest.fixture
def shards_of(shard_set, tmp_path, request):
    """What gives the shards of ``shard_set`` as a kind, and how many samples there are."""
    with ExitStack() as stack:

        def make(kind):
            folder, name = tmp_path / "in", "{00000..00002}"
            packed(shard_set, folder, kind if kind in PACKS else "tar")
            if kind in PACKS:
                return str(folder), 60
            if kind.startswith("http"):
                server = stack.enter_context(served(folder, cut=9000 if "cuts" in kind else None))
                return f"{server.url}/{name}.tar", 60
            if kind == "s3":
                bucket = request.getfixturevalue("bucket")
                for tar in folder.iterdir():
                    storage.write_bytes(f"{bucket}/set/{tar.name}", tar.read_bytes())
                return f"{bucket}/set/{name}.tar", 60
            if kind == "truncated":
                content = (folder / "00002.tar").read_bytes()
                (folder / "00002.tar").write_bytes(content[: int(len(content) * 0.6)])
                return str(folder), int(ShardSet([str(folder)], tmp_path / "counted").counts.sum())
            return f"{folder}/{name}.tar", 60

        yield make


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_reads_every_kind(model, shard_set, shards_of, recipe, train, tmp_path, kind):
    shards, count = shards_of(kind)
    plain, out = {}, {}
    (tmp_path / "words.txt").write_text("red square\nblue circle\n")
    for found, given in ((plain, str(shard_set)), (out, shards)):
        folder = tmp_path / ("plain" if found is plain else "kind")
        said = invoke(score.app, "--model", model, "--shards", given, "--output", folder / "score").stdout
        rows = [
            row
            for file in sorted((folder / "score").glob("*.parquet"))
            for row in pq.read_table(file, partitioning=None).to_pylist()
        ]
        found["score"] = sorted((row["key"], round(row["score"], 3)) for row in rows)
        assert ("damaged" in said) == (kind == "truncated" and found is out)
        again = invoke(score.app, "--model", model, "--shards", given, "--output", folder / "score").stdout
        assert "0 samples of 0 tar(s)" in again
        arguments = ("--shards", given, "--concepts", tmp_path / "words.txt", "--output", folder / "moderate")
        invoke(moderate.app, "--model", model, *arguments)
        rows = [
            row
            for file in sorted((folder / "moderate").glob("*.parquet"))
            for row in pq.read_table(file, partitioning=None).to_pylist()
        ]
        found["moderate"] = sorted((row["key"], row["concept"]) for row in rows)
        words = ("--entries", tmp_path / "words.txt")
        invoke(tag.app, "--model", model, *words, "--output", folder / "tags.jsonl", given)
        found["tag"] = sorted((line["image"], next(iter(line["labels"]))) for line in lines(folder / "tags.jsonl"))
        invoke(evaluate.app, "--model", model, "--shards", given, "--output", folder / "e.json")
        found["evaluate"] = json.loads((folder / "e.json").read_text())["retrieval"]["all"]
        invoke(search.app, "index", "--model", model, "--shards", given, "--index", folder / "index")
        invoke(search.app, "query", "--index", folder / "index", "--text", "a red square", "--top", 3,
               "--output", folder / "page.html")  # fmt: skip
        found["search"] = (folder / "page.html").read_text().count("<li>")
    if kind == "truncated":
        assert len(out["score"]) == len(out["moderate"]) == len(out["tag"]) == out["evaluate"]["texts"] == count
        assert set(out["score"]) <= set(plain["score"])
    else:
        assert out == plain
    last = train(
        recipe(data__shards=json.dumps([shards]), data__workers=2, steps=3), tmp_path / "run", log_samples=True
    )
    assert last["step"] == 3
    if kind in ("braces", "http", "http that cuts", "s3"):
        train(recipe(steps=3), tmp_path / "plain_run", log_samples=True)
        assert (tmp_path / "run" / "samples.jsonl").read_bytes() == (
            tmp_path / "plain_run" / "samples.jsonl"
        ).read_bytes()
    streamed = recipe(data__shards=json.dumps([shards]), data__workers=2, data__stream="true", steps=2)
    assert train(streamed, tmp_path / "streamed")["step"] == 2
