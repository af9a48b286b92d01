"""The benchmark for a GPU, in miniature on a CPU: that it runs, and what it writes."""

import importlib
import json

import pytest

from .conftest import SMALL, invoke


@pytest.mark.slow
def test_the_gpu_benchmark_runs_in_miniature(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = (
        "model.image_size",
        "model.projection",
        "model.vision",
        "model.text",
        "tokenizer.vocabulary",
        "data.workers",
    )
    settings = [f"--set={key}={SMALL[key]}" for key in keys]
    app = importlib.import_module("benchmarks.train_gpu").app
    invoke(app, "--recipe", "nano", "--batch", 8, "--steps", 3, "--photographs", 16, *settings)
    found = json.loads((tmp_path / "output" / "bench" / "train_gpu.json").read_text())["found"]
    assert [line["what"] for line in found] == ["step", "run"]
    assert all(line["samples_per_second"] > 0 for line in found)
    assert 0 <= found[1]["data_wait"] <= 1
