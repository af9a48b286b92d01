"""What a run writes is, byte for byte, what the version before tasks read and wrote with Arrow wrote.

``golden.json`` has, for some configurations over the tests' pool, the SHA-256 of every file of ``curated`` and
``shards`` (and ``final``) and the rows of each stage, as commit 790e69a gave them. Not there: the ``final`` of
"rebalance one", in which image_id stood first among the columns by accident of a join.
"""

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.engine import VARIABLE
from tests.e2e.conftest import digests, run
from tests.pool import write_pool

HERE = Path(__file__).resolve().parent
GOLDEN = json.loads((HERE / "golden.json").read_text())["configurations"]
QUICK = ("shuffled", "cap one")


def locked(package: str) -> str:
    """The version in constraints.txt."""
    lines = (HERE.parents[1] / "constraints.txt").read_text().splitlines()
    return next(line.split("==")[1] for line in lines if line.startswith(f"{package}=="))


# Parquet names its writer, and the images of the pool are written by Pillow.
OTHER = [
    f"{name} {version(name)}, not {locked(name)}" for name in ("pyarrow", "pillow") if version(name) != locked(name)
]
pytestmark = pytest.mark.skipif(bool(OTHER), reason=f"files have other bytes: installed is {', '.join(OTHER)}")


@pytest.mark.parametrize("engine", ["local", "spark"])
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in GOLDEN]
)
def test_the_files_are_those_of_before(work, tmp_path, spark, monkeypatch, name, engine):
    monkeypatch.setenv(VARIABLE, engine)
    want, inputs = GOLDEN[name], None
    if name == "shuffled":  # The same rows in another order, in three files.
        inputs = [str(write_pool(tmp_path / "shuffled", files=3, shuffle=5))]
        assert want["files"] == GOLDEN["default"]["files"]
    summary = run(work / "recipe.yaml", tmp_path / "out", *want["overrides"], inputs=inputs)
    accounts = [{key: line[key] for key in ("stage", "in", "out", "dropped")} for line in summary["stages"]]
    assert accounts == want["accounts"]
    folders = {path.split("/")[0] for path in want["files"]}
    assert digests(tmp_path / "out", *sorted(folders)) == want["files"]
