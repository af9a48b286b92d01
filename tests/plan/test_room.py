"""What does not fit is refused in one line, before anything starts; what surely fits costs no look at the input."""

from collections import namedtuple

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.command.plan import app
from pipeline.errors import UsageError
from pipeline.plan import room
from pipeline.recipe import load_recipe
from tests.pool import write_pool, write_recipe

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def recipe(tmp_path):
    return write_recipe(tmp_path, write_pool(tmp_path / "pool", count=300))


@pytest.fixture
def small_disk(monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 1000, 1000))


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert room.disk_free(str(tmp_path / "a" / "b")) > 0
    assert room.disk_free("s3://bucket/out") is None
    assert room.may_fit("s3://bucket/out", 1 << 60)
    assert room.may_fit(str(tmp_path), 1000)
    assert not room.may_fit(str(tmp_path), 1 << 60)


def test_what_lies_in_the_output_may_be_replaced(tmp_path, small_disk):
    (tmp_path / "old").write_bytes(b"x" * 5000)
    room.check_disk(str(tmp_path), 5500)
    with pytest.raises(UsageError, match=r"needs about [\d.]+ k?B there, and [\d.]+ k?B are free"):
        room.check_disk(str(tmp_path), 6500)


def test_tables_that_are_written_anew_beside_themselves(tmp_path, small_disk):
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "part-00000.parquet").write_bytes(b"x" * 900)
    room.check_beside(str(tmp_path), ["pairs", "matched"])
    (tmp_path / "matched").mkdir()
    (tmp_path / "matched" / "part-00000.parquet").write_bytes(b"x" * 200)
    with pytest.raises(UsageError, match=r"beside the old ones, which takes over [\d.]+ k?B, and [\d.]+ k?B are free"):
        room.check_beside(str(tmp_path), ["pairs", "matched"])


def test_memory(monkeypatch):
    room.check_memory(1)
    with pytest.raises(UsageError, match="of memory, and this machine gives"):
        room.check_memory(1e15)


def test_a_machine_that_is_too_small_for_any_run(recipe, tmp_path, monkeypatch):
    from pipeline import curate

    monkeypatch.setattr(curate.engine, "start", lambda _: None)
    monkeypatch.setattr(room, "memory", lambda: 300_000_000)
    with pytest.raises(UsageError, match=r"of memory, and this machine gives 300 MB"):
        curate.curate(load_recipe(str(recipe)), str(tmp_path / "out"))


def test_plan_ends_with_the_line_that_curate_would(recipe, tmp_path, small_disk):
    done = CliRunner().invoke(app, ["--recipe", str(recipe), "--output", str(tmp_path / "out")])
    assert isinstance(done.exception, UsageError)
    assert "--force to begin all the same" in str(done.exception)
    assert "ingest" in done.output
    assert not (tmp_path / "out").exists()


def test_curate_is_refused_before_it_starts(recipe, tmp_path, small_disk, monkeypatch):
    from pipeline import curate

    monkeypatch.setattr(curate.engine, "start", lambda _: None)
    with pytest.raises(UsageError, match=r"out: the run needs about .* [kMG]?B there"):
        curate.curate(load_recipe(str(recipe)), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "pairs").exists()
    assert yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())["name"] == "test"


def test_a_small_run_looks_at_no_sample(recipe, tmp_path, monkeypatch):
    from pipeline import curate
    from pipeline.stages import named

    options = load_recipe(str(recipe))
    found = named("ingest").check(curate.Request(recipe=options, output=str(tmp_path), source=str(tmp_path)))
    monkeypatch.setattr("pipeline.plan.forecast.forecast", lambda recipe: pytest.fail("it looked at the input"))
    curate._check_room(named("ingest"), curate.Request(recipe=options, output=str(tmp_path), source=""), found)
