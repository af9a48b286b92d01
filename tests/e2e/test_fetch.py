"""Images fetched from a site on this machine: every URL accounted for, whatever is answered and whoever is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import digests, run, stage, table

pytest.importorskip("img2dataset")

RECIPE = """
name: fetch
input: {paths: [%(pool)s]}
language: {identify: none}
entries: {en: %(entries)s}
dedupe: {scope: none}
balance: {mode: none, t: 10}
images: {fetch: true, size: 32, threads: 8, timeout: 1, retries: 1, wait: 0, most_bytes: 1000000, most_seconds: 3, samples: 20,
         allow_networks: ["127.0.0.0/8"]}
shards: {samples: 25}
"""
BAD = {
    "status/404": "http_404", "text/1": "unreadable_image", "huge/declared": "too_many_bytes", "noai/1": "opted_out",
    "cut/1": "cut_short", "hang/1": "timeout", "slow/1": "too_slow", "loop/1": "too_many_redirects", "status/500": "http_500",
}  # fmt: skip


def write_work(folder, urls):
    folder.mkdir()
    pq.write_table(
        pa.table({"url": urls, "text": [f"a picture {i}" for i in range(len(urls))]}), folder / "pool.parquet"
    )
    (folder / "en.txt").write_text("picture\n")
    places = {"pool": folder / "pool.parquet", "entries": folder / "en.txt"}
    (folder / "recipe.yaml").write_text(RECIPE % places)
    return folder


def test_every_url_ends_in_one_row(site, tmp_path):
    good = [f"{site.url}/good/{i}.jpg" for i in range(60)]
    flaky = [f"{site.url}/flaky/{i}" for i in range(5)]
    hostile = ["file:///etc/passwd", "http://10.0.0.1/x.jpg", "ftp://127.0.0.1/x", "not a url", "http://[::1"]
    work = write_work(tmp_path / "work", [*good, *flaky, *(f"{site.url}/{path}" for path in BAD), *hostile])
    summary = run(work / "recipe.yaml", tmp_path / "out")
    kept = stage(summary, "balance")["out"]
    images = table(tmp_path / "out", "images").to_pylist()
    assert len(images) == len({row["image_id"] for row in images}) == kept == stage(summary, "images")["in"]
    status = {row["url"]: row["status"] for row in images}
    assert all(status[url] == "success" for url in good + flaky)
    assert {path: status[f"{site.url}/{path}"] for path in BAD} == BAD
    counts = Counter(status.values())
    assert stage(summary, "images")["dropped"] == {k: v for k, v in sorted(counts.items()) if k != "success"}
    assert {url: status[url] for url in hostile if url in status} == {
        "file:///etc/passwd": "refused_scheme",
        "http://10.0.0.1/x.jpg": "refused_address",
        "ftp://127.0.0.1/x": "refused_scheme",
        "http://[::1": "bad_url",
    }
    # What may change is asked for twice, the rest once.
    assert site.asked["/flaky/1"] == site.asked["/status/500"] == 2
    assert site.asked["/status/404"] == site.asked["/good/1.jpg"] == site.asked["/noai/1"] == 1
    assert stage(summary, "images")["failures_by_host"][0]["host"] == "127.0.0.1"

    assert stage(summary, "shards")["in"] == kept
    assert stage(summary, "shards")["out"] == 65
    shard = sorted((tmp_path / "out" / "shards").glob("*.tar"))[0]
    with tarfile.open(shard) as tar:
        names = tar.getnames()
    assert len(names) == 75
    assert sum(name.endswith(".jpg") for name in names) == 25
    for row in images:
        if row["status"] == "success":
            with (tmp_path / "out" / "fetched" / row["shard"]).open("rb") as file:
                file.seek(row["image_offset"])
                assert file.read(3) == b"\xff\xd8\xff"

    # More retries ask for the failed ones that may change, and for nothing else.
    before = dict(site.asked)
    again = run(work / "recipe.yaml", tmp_path / "out", "images.retries=2")
    asked = {path for path in site.asked if site.asked[path] != before.get(path, 0)}
    assert asked == {"/hang/1", "/slow/1", "/cut/1", "/status/500"}
    assert stage(again, "images")["out"] == 65
    assert stage(again, "ingest")["skipped"]


def driver_and_all(process):
    os.killpg(process.pid, signal.SIGKILL)


def workers(process):
    """Kills the Python workers below a driver."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    for pid in parents:
        above = pid
        while above in parents and above != process.pid:
            above = parents[above]
        with contextlib.suppress(OSError):
            if above == process.pid and b"pyspark.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_fetch_goes_on_and_ends_the_same(site, tmp_path):
    """Thousands of images; the driver is killed twice, and once the Python workers, which embedded Spark does not forgive."""
    urls = [f"{site.url}/good/{i}.jpg" for i in range(3000)]
    urls += [
        f"{site.url}/{path}?{i}" for path in ("status/404", "text/1", "noai/1", "huge/declared") for i in range(50)
    ]
    work = write_work(tmp_path / "work", urls)
    recipe = work / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("samples: 20,", "samples: 100,"))

    def command(name):
        return [
            sys.executable,
            "jobs/curate.py",
            "--recipe",
            str(work / "recipe.yaml"),
            "--output",
            str(tmp_path / name),
        ]

    subprocess.run(command("whole"), check=True, capture_output=True)
    asked_once = dict(site.asked)
    assert set(asked_once.values()) == {1}
    for shards, whom in ((2, driver_and_all), (6, workers), (14, driver_and_all)):
        process = subprocess.Popen(
            command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        staging = tmp_path / "killed" / "fetched"
        end = time.monotonic() + 120
        while len(list(staging.glob("[0-9]*.parquet"))) < shards and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        whom(process)
        assert process.wait() != 0
    subprocess.run(command("killed"), check=True, capture_output=True)
    assert digests(tmp_path / "killed", "shards") == digests(tmp_path / "whole", "shards")
    rows = table(tmp_path / "killed", "images")
    assert len(rows) == len(rows["image_id"].unique()) == len(urls)
    named = set(rows["shard"].drop_null().to_pylist())
    assert {file.name for file in (tmp_path / "killed" / "fetched").glob("*.tar")} == named
    # A shard that was finished is not asked for again: at most the two that were under way, twice.
    extra = sum(site.asked.values()) - 2 * len(urls)
    assert extra <= 3 * 2 * 100
    manifest = json.loads((tmp_path / "killed" / "manifest.json").read_text())
    assert any(line["path"].startswith("fetched/") for line in manifest["files"])


def test_requests_to_a_host_are_divided():
    from pipeline.images.spark import tasks_and_requests

    assert tasks_and_requests(50, 0, 8) == (50, 0)
    assert tasks_and_requests(50, 20, 8) == (50, 2)
    assert tasks_and_requests(2, 20, 8) == (2, 10)
    assert tasks_and_requests(50, 3, 8) == (3, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("images.allow_networks=[10.0.0.1/8]", "has host bits set"),
        ("images.root=/tmp", "root and prefix go together"),
        ("images.resize=stretch", "images.resize: found 'stretch'"),
        ("images.format=png", "quality: found 95; for png 0 to 9 is allowed"),
    ],
)
def test_wrong_options(tmp_path, change, message):
    from pipeline.errors import UsageError

    work = write_work(tmp_path / "work", ["http://x.test/a.jpg"])
    with pytest.raises(UsageError, match=message):
        run(work / "recipe.yaml", tmp_path / "out", change)
