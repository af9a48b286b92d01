"""Whole runs in this process, their tasks in processes of this machine unless a test says Spark."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from pipeline.curate import curate
from pipeline.engine import LOCAL, VARIABLE
from pipeline.recipe import load_recipe
from tests.images.site import Site
from tests.pool import write_pool, write_recipe


def run(recipe: Path, output: Path, *overrides: str, inputs=None, **options):
    return curate(load_recipe(str(recipe), list(overrides), inputs), str(output), **options)


def stage(summary, name):
    return next(line for line in summary["stages"] if line["stage"] == name)


def table(output: Path, name: str):
    return ds.dataset(output / name, format="parquet").to_table()


def digests(output: Path, *folders: str) -> dict[str, str]:
    """The SHA-256 of every visible file of some folders."""
    return {
        str(file.relative_to(output)): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in sorted((output / folder).rglob("*"))
        if file.is_file() and not file.name.startswith(("_S", "."))
    }


def check(shared: Path, output: Path) -> str:
    """Recomputes an output with the independent code of the shared material."""
    tool = shared / "tools" / "check_curated.py"
    done = subprocess.run([sys.executable, str(tool), str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "all equal" in done.stdout
    return done.stdout


@pytest.fixture(scope="package", autouse=True)
def local():
    """The engine of runs, and of the commands that tests start; a SparkSession of this process would be the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, LOCAL)
        yield


@pytest.fixture(scope="package")
def work(tmp_path_factory):
    """A pool and a recipe over it."""
    folder = tmp_path_factory.mktemp("work")
    write_recipe(folder, write_pool(folder / "pool"))
    return folder


@pytest.fixture(scope="package")
def finished(work, local):
    """The output of the recipe as it is. Not to be changed."""
    run(work / "recipe.yaml", work / "finished")
    return work / "finished"


@pytest.fixture
def site():
    """A site on this machine, with good images and every bad answer."""
    with Site() as found:
        yield found
        found.shutdown()
