"""A command that is killed at any of its steps leaves an output that the next one makes whole, with either recipe.

The stages are the real ones with as little work as can be: each writes a row that says what it was made with.
"""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline import record, stages, storage, tables
from pipeline.curate import curate
from pipeline.fitting import Fit, differences, load_finished
from pipeline.recipe import load_recipe
from pipeline.tables import Account
from tests.e2e.conftest import digests

RECIPE = """
name: kills
input: {paths: [none]}
entries: {en: none}
dedupe: {scope: none}
balance: {t: 3}
filter: {min_words: 2}
"""


class Killed(BaseException):
    """What nothing catches."""


def small(stage):
    def run(of):
        for table in stage.tables:
            said = json.dumps([stage.name, table, stage.depends(of.recipe)], sort_keys=True)
            tables.write_arrow(pa.table({"said": [said]}), of.output, table)
        return Account(1, 1, {}), {}

    return replace(stage, run=run, beside=(), check=lambda request: None, files=lambda recipe, found: [])


@pytest.fixture
def small_stages(monkeypatch):
    monkeypatch.setattr(stages, "STAGES", tuple(map(small, stages.STAGES)))


@pytest.fixture
def command(tmp_path, small_stages):
    """Runs the recipe with settings."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return lambda output, *settings: curate(load_recipe(str(tmp_path / "recipe.yaml"), list(settings)), str(output))


def says(output):
    """What an output holds, without what is of one run (its times)."""
    names = ("manifest.json", "README.md", "croissant.json", "recipe.yaml")
    listed = {line["path"].split("/")[0] for line in json.loads((output / names[0]).read_text())["files"]}
    return digests(output, *sorted(listed)) | {name: (output / name).read_text() for name in names}


def check_belongs(output):
    """Every record fits the recipe there, and the manifest, where there is one, lists what is there."""
    if not (output / "recipe.yaml").exists():
        assert not (output / "manifest.json").exists()
        return
    fit = Fit(load_recipe(str(output / "recipe.yaml")), [])
    found = [made for stage in fit.stages if (made := load_finished(str(output), stage))]
    for made in found:
        assert not list(differences(made.depends, fit.depends[made.stage])), made.stage
    if (output / "manifest.json").exists():
        files = json.loads((output / "manifest.json").read_text())["files"]
        assert len(found) == len(fit.stages)
        tables = [table for stage in fit.stages for table in stage.tables]
        assert {line["path"]: line["sha256"] for line in files} == digests(output, *tables)


def killed_at(step, monkeypatch, work):
    """Runs ``work`` up to a step: before a file is written, or a file or folder is moved or removed. False: it ended."""
    left = [step]

    def counted(real):
        def one(*arguments):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments)

        return one

    with monkeypatch.context() as watched:
        for name in ("write_bytes", "replace", "remove"):
            watched.setattr(storage, name, counted(getattr(storage, name)))
        try:
            work()
        except Killed:
            return True
    return False


CHANGES = {
    "balance changes": (["balance.t=5"], 12),
    "match changes": (["seed=2"], 17),
    "a section goes": (["filter={}"], 2),
    "only the recipe changes": (["credit=ours"], 2),
}


@pytest.mark.parametrize("every", [None, pytest.param(1, marks=pytest.mark.slow)], ids=["some steps", "each step"])
@pytest.mark.parametrize("change", CHANGES)
def test_killed_at_a_step(command, tmp_path, monkeypatch, change, every):
    settings, some = CHANGES[change]
    before, after, output = tmp_path / "before", tmp_path / "after", tmp_path / "output"
    command(before)
    command(after, *settings)
    assert says(before) != says(after)
    step, kills = 0, 0
    while True:
        shutil.copytree(before, output)
        if not killed_at(step, monkeypatch, lambda: command(output, *settings)):
            break
        kills += 1
        check_belongs(output)
        shutil.copytree(output, tmp_path / "again")
        command(tmp_path / "again", *settings)
        assert says(tmp_path / "again") == says(after), step
        command(output)
        assert says(output) == says(before), step
        for folder in (output, tmp_path / "again"):
            shutil.rmtree(folder)
        step += every or some
    assert says(output) == says(after)
    assert kills >= 2


def test_killed_before_the_first_table(command, tmp_path, monkeypatch):
    """A new folder is the recipe's from the start, and takes another recipe of its name."""
    assert killed_at(1, monkeypatch, lambda: command(tmp_path / "output"))
    assert {file.name for file in (tmp_path / "output").iterdir()} <= {
        "recipe.yaml",
        "events.jsonl",
        ".lock",
        ".staging",
    }
    command(tmp_path / "output", "seed=2")
    command(tmp_path / "whole", "seed=2")
    assert says(tmp_path / "output") == says(tmp_path / "whole")


def test_an_output_of_another_version_is_done_again(command, tmp_path):
    command(tmp_path / "output")
    there = says(tmp_path / "output")
    for file in (tmp_path / "output" / record.FOLDER).iterdir():
        old = {
            key: value
            for key, value in json.loads(file.read_text()).items()
            if key not in ("depends", "before", "version")
        }
        file.write_text(json.dumps(old))
    assert not any(line["skipped"] for line in command(tmp_path / "output")["stages"])
    assert says(tmp_path / "output") == there
