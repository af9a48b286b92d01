"""An append that is killed at any of its steps is made whole by the next append, or by a run of either recipe.

As ``test_kills``, whose method this is, with stages that do as little as can be.
"""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline import stages, tables
from pipeline.append import append
from pipeline.curate import curate
from pipeline.errors import UsageError
from pipeline.recipe import load_recipe
from pipeline.tables import Account
from tests.e2e.test_kills import RECIPE, check_belongs, killed_at, says


def small(stage):
    def run(of):
        for table in stage.tables:
            said = json.dumps([stage.name, table, stage.depends(of.recipe)], sort_keys=True)
            tables.write_arrow(pa.table({"pair_id": [1], "said": [said]}), of.output, table)
        return Account(1, 1, {}), {}

    add = (lambda of, before: run(of)) if stage.add else None
    given = {"beside": (), "check": lambda request: None, "files": lambda recipe, found: []}
    return replace(stage, run=run, add=add, **given)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the recipe, whose pool is a file, with more files."""
    monkeypatch.setattr(stages, "STAGES", tuple(map(small, stages.STAGES)))
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text(f"url,text\nhttps://pool.test/{name}.png,a cat\n")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    files = [str(tmp_path / f"{name}.csv") for name in "abc"]
    return lambda output, count: curate(load_recipe(str(tmp_path / "recipe.yaml"), [], files[:count]), str(output))


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 13], ids=["each step", "some steps"])
def test_killed_at_a_step(command, tmp_path, monkeypatch, every):
    before, after, output, again = (tmp_path / name for name in ("before", "after", "output", "again"))
    new = str(tmp_path / "b.csv")
    command(before, 1)
    command(after, 2)
    assert says(before) != says(after)
    step, kills = 0, 0
    while True:
        shutil.copytree(before, output)
        if not killed_at(step, monkeypatch, lambda: append(str(output), [new])):
            break
        kills += 1
        check_belongs(output)
        for turn in ("append", 2, 1):
            shutil.copytree(output, again)
            if turn == "append":
                added = (again / "manifest.json").exists() and new in (again / "recipe.yaml").read_text()
                if added:
                    with pytest.raises(UsageError, match="was added before"):
                        append(str(again), [new])
                else:
                    append(str(again), [new])
            else:
                command(again, turn)
            assert says(again) == says(before if turn == 1 else after), (step, turn)
            shutil.rmtree(again)
        shutil.rmtree(output)
        step += every
    assert says(output) == says(after)
    assert not (output / ".before").exists()
    assert kills >= 2


def test_what_was_added_is_refused(command, tmp_path):
    command(tmp_path / "output", 2)
    with pytest.raises(UsageError, match="b.csv: was added before"):
        append(str(tmp_path / "output"), [str(tmp_path / "b.csv")])
    with pytest.raises(UsageError, match=r"--output .*/nothing: no recipe.yaml there; give the output of a run"):
        append(str(tmp_path / "nothing"), [str(tmp_path / "b.csv")])
