"""What does the tasks of a run: by default processes of this machine, Spark where it is needed or asked for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import engine
from pipeline.errors import UsageError
from pipeline.recipe import bundled_recipes, load_recipe, makes_dataframes
from pipeline.stages import STAGES, stages_of

PROJECT = Path(__file__).resolve().parents[1]
CLEAN = {name: value for name, value in os.environ.items() if name not in (engine.VARIABLE, *engine.CONFIGURED)}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    for name in (engine.VARIABLE, *engine.CONFIGURED, "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(engine, "_chosen", None)
    monkeypatch.setattr(engine, "_has_spark", lambda: False)


@pytest.mark.parametrize(
    ("needs_spark", "environment", "has_spark", "local"),
    [
        (False, {}, False, True),
        (True, {}, False, False),
        (False, {}, True, False),
        (False, {"METACLIP_ENGINE": "spark"}, False, False),
        (False, {"METACLIP_ENGINE": "local"}, True, True),
        (False, {"METACLIP_ENGINE": "local[3]"}, True, True),
        (True, {"METACLIP_ENGINE": "local"}, False, False),
        (False, {"METACLIP_ENGINE": "auto"}, False, True),
        (False, {"METACLIP_ENGINE": ""}, False, True),
        (False, {"SPARK_CONF_DIR": "/etc/spark"}, False, False),
        (False, {"PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell"}, False, False),
        (False, {"SPARK_CONF_DIR": "/etc/spark", "METACLIP_ENGINE": "local"}, False, True),
        (False, {"PYSPARK_GATEWAY_PORT": "1", "METACLIP_ENGINE": "local"}, False, False),
    ],
)
def test_which_it_is(monkeypatch, needs_spark, environment, has_spark, local):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(engine, "_has_spark", lambda: has_spark)
    assert engine.is_local(needs_spark) is local


def test_the_option_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("METACLIP_ENGINE", "spark")
    engine.choose("local[5]")
    assert engine.is_local(False)
    assert (engine._cores(), engine._master()) == (5, "local[5]")
    engine.choose(None)
    assert not engine.is_local(False)
    assert engine._master() is None


@pytest.mark.parametrize("given", ["Spark", "local[0]", "local[*]", "local[1", "yarn", " "])
def test_others_are_refused(monkeypatch, given):
    with pytest.raises(UsageError, match=re.escape(f"--engine: found {given!r}; allowed: auto, local, local[N]")):
        engine.choose(given)
    monkeypatch.setenv("METACLIP_ENGINE", given)
    with pytest.raises(UsageError, match=re.escape(f"METACLIP_ENGINE: found {given!r}")):
        engine.start(False)


@pytest.mark.parametrize("recipe", bundled_recipes())
def test_a_recipe_needs_spark_where_a_stage_does(recipe):
    found = load_recipe(recipe)
    assert makes_dataframes(found) == any(stage.spark for stage in stages_of(found))
    for stage in STAGES:
        assert makes_dataframes(found, [stage.name]) == stage.spark


def test_a_run_without_dataframes_needs_no_java(tmp_path):
    """Nor anything of Spark's that is not Python: no JVM starts, and none is found."""
    (tmp_path / "pool.csv").write_text("url,alt_text\nhttp://x/1.jpg,a dog on a mat\nhttp://x/2.jpg,a dog on a cat\n")
    (tmp_path / "entries.txt").write_text("dog\ncat\n")
    (tmp_path / "recipe.yaml").write_text(
        f"name: small\ninput:\n  paths: [{tmp_path}/pool.csv]\n  columns: {{url: url, text: alt_text}}\n"
        f"language: {{identify: none, keep: []}}\nentries: {{en: {tmp_path}/entries.txt}}\nbalance: {{t: 10}}\n"
    )
    command = [sys.executable, "jobs/curate.py", "--recipe", str(tmp_path / "recipe.yaml")]
    done = subprocess.run(
        [*command, "--output", str(tmp_path / "out")], capture_output=True, text=True, cwd=PROJECT, check=False,
        env=CLEAN | {"JAVA_HOME": "/nowhere", "PATH": os.path.dirname(sys.executable), "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "balance" in done.stdout
    assert list((tmp_path / "out" / "curated").glob("*.parquet"))
