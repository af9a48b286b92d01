"""Shards and tars in stores: S3 (moto's server on loopback) and what fsspec alone knows, beside an ordinary run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import UsageError

from .conftest import digests, run, stage
from .test_tars import write_work

PROJECT = Path(__file__).resolve().parents[2]


def of(folder: str) -> dict[str, bytes]:
    return {name: storage.read_bytes(storage.join(folder, name)) for name in storage.names(folder)}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return write_work(tmp_path_factory.mktemp("stores") / "work")


@pytest.fixture(scope="module")
def expected(work):
    """The files of the set in an ordinary folder, by name."""
    run(work / "recipe.yaml", work.parent / "plain")
    return of(str(work.parent / "plain/shards"))


def test_shards_in_a_folder_of_their_own(work, expected, tmp_path):
    elsewhere = f"local://{tmp_path}/elsewhere"  # fsspec's name; Arrow does not know it
    settings = [f"shards.folder={elsewhere}"]
    summary = run(work / "recipe.yaml", tmp_path / "out", *settings)
    assert stage(summary, "shards")["folder"] == elsewhere
    assert len(expected) == 3 * 3 + 2
    assert of(str(tmp_path / "elsewhere")) == expected
    assert of(str(tmp_path / "out/shards")) == {name: expected[name] for name in ("manifest.json", "sizes.json")}

    again = run(work / "recipe.yaml", tmp_path / "out", *settings)
    assert stage(again, "shards")["skipped"]
    with pytest.raises(UsageError, match="no column boxes"):
        run(work / "recipe.yaml", tmp_path / "out", *settings, "shards.blur=boxes")
    assert of(str(tmp_path / "elsewhere")) == expected  # A recipe that is wrong takes nothing away.
    # The output's own shards are no folder for shards, and stay.
    before = digests(tmp_path / "out", "shards", "curated")
    with pytest.raises(UsageError, match=r"shards\.folder: .*/out/shards: overlaps --output"):
        run(work / "recipe.yaml", tmp_path / "out", f"shards.folder={tmp_path}/out/shards")
    assert digests(tmp_path / "out", "shards", "curated") == before
    # A set whose manifest does not say what is in it was not finished.
    (tmp_path / "elsewhere/manifest.json").write_text('{"name": "tars"}')
    (tmp_path / "elsewhere/00007.tar").write_bytes(b"of a larger set before")
    assert not stage(run(work / "recipe.yaml", tmp_path / "out", *settings), "shards")["skipped"]
    assert of(str(tmp_path / "elsewhere")) == expected


def test_tars_of_others_are_not_written_over(work, tmp_path):
    before = digests(work, "tars")
    with pytest.raises(UsageError, match=r"shards\.folder: .* holds 00000\.tar, which is not of recipe 'tars'"):
        run(work / "recipe.yaml", tmp_path / "out", f"shards.folder={work / 'tars'}")
    assert digests(work, "tars") == before
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/manifest.json").write_text("[1]")
    with pytest.raises(UsageError, match=r"holds manifest\.json, which is not of recipe 'tars'"):
        run(work / "recipe.yaml", tmp_path / "out", f"shards.folder={tmp_path / 'theirs'}")
    assert (tmp_path / "theirs/manifest.json").read_text() == "[1]"
    with pytest.raises(UsageError, match="shards.folder: nowhere://x: Protocol not known: nowhere"):
        run(work / "recipe.yaml", tmp_path / "out", "shards.folder=nowhere://x")


@pytest.mark.slow
def test_from_s3_into_s3_by_urls_alone(bucket, work, expected, tmp_path):
    """Input, tars and shards by URLs that say where the store is, with odd names; the environment has the keys alone."""
    for tar in (work / "tars").iterdir():
        storage.write_bytes(f"{bucket}/my tars [1]/größe/{tar.name}", tar.read_bytes())
    storage.write_bytes(f"{bucket}/a%20b/pool.parquet", (work / "pool.parquet").read_bytes())
    options = f"?endpoint_override={os.environ['AWS_ENDPOINT_URL']}&region=us-east-1"
    settings = [
        f"images.tars=['{bucket}/my tars [1]/**/*.tar{options}']",
        f"shards.folder='{bucket}/sets/o#ne{options}'",
    ]
    job = [sys.executable, "jobs/curate.py", "--recipe", work / "recipe.yaml", "--output", tmp_path / "out"]
    job += ["--input", f"{bucket}/a%20b{options}"]
    job += [part for setting in settings for part in ("--set", setting)]
    environment = {k: v for k, v in os.environ.items() if k not in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")}
    done = subprocess.run(job, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert of(f"{bucket}/sets/o#ne") == expected
    again = subprocess.run(job, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert "Nothing to do" in again.stdout
