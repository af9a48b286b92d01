"""The class-data archive of embedded sessions: one maker, never a broken file, nothing said of it."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import class_data, java

PROJECT = Path(__file__).resolve().parents[1]
JOB = """
from pipeline.session import open_session
session = open_session("local[1]")
options = session.sparkContext._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments()
print([option for option in options if "SharedArchiveFile" in option])
print(session.range(0, 4, 1, 2).mapInArrow(lambda batches: batches, "id bigint").toArrow().num_rows)
"""
MAKE = "from pipeline.java import use_java\nprint(class_data.make(class_data.archive_of(use_java())))\n"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment of its own, whose name has a space in it: what belongs to it goes there."""
    prefix = tmp_path / "an environment"
    prefix.mkdir()
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.delenv("SPARK_CONF_DIR", raising=False)
    monkeypatch.setenv("JAVA_HOME", os.environ.get("JAVA_HOME", ""))
    return prefix


def in_environment(prefix, code):
    """Runs code in a process of that environment and returns what it printed; it must print nothing to stderr."""
    code = f"import sys; sys.prefix = {str(prefix)!r}\nfrom pipeline import class_data\n{code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.slow
def test_an_archive_is_made_and_used_and_a_broken_one_harms_nothing(environment):
    archive = class_data.archive_of(java.use_java())
    assert in_environment(environment, MAKE) == ["True"]
    assert archive.stat().st_size > 1 << 20
    assert not class_data.make(archive)  # it is there
    assert {file.name for file in archive.parent.iterdir()} <= {
        archive.name,
        "bin",
        "lib",
        "conf",
        "lock",
        "base.jsa",
        archive.stem + ".size",
    }
    used, rows = in_environment(environment, JOB)
    assert str(archive) in used
    assert rows == "4"

    content = archive.read_bytes()
    archive.chmod(0o644)
    for broken in (content[: len(content) // 2], bytes(4096) + content[4096:]):
        archive.write_bytes(broken)
        assert in_environment(environment, JOB)[1] == "4"
    archive.write_bytes(content[: len(content) // 2])
    assert class_data.use(archive) == [*class_data.OPTIONS]
    assert in_environment(environment, MAKE) == ["True"]
    assert str(archive) in class_data.use(archive)[-1]


@pytest.mark.slow
def test_a_failure_is_kept_as_an_empty_file_that_is_not_used(environment, tmp_path, monkeypatch):
    """A folder with files on the class path: no archive can be made, and a session starts all the same."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text("spark.mine 1\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "conf"))
    archive = class_data.archive_of(java.use_java())
    said = in_environment(environment, f"import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n{MAKE}")
    assert said[-1] == "True"
    assert archive.stat().st_size == 0
    assert class_data.use(archive) == [*class_data.OPTIONS]
    assert not class_data.make(archive)
    assert in_environment(environment, JOB) == ["[]", "4"]


def test_one_maker_at_a_time(environment):
    archive = class_data.archive_of(java.use_java())
    with open(archive.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not class_data.make(archive)
    assert not archive.exists()


def test_what_a_killed_maker_left_goes_and_few_old_ones_stay(environment, monkeypatch):
    archive = class_data.archive_of(java.use_java())
    for age, name in enumerate(("spark-1.jsa", "spark-2.jsa", "spark-3.jsa")):
        (archive.parent / name).write_text("old")
        os.utime(archive.parent / name, (age, age))
    (archive.parent / "x.tmp").mkdir()
    (archive.parent / "x.tmp" / archive.name).write_text("half of it")
    monkeypatch.setattr("pipeline.session.record_classes", lambda options: False)
    assert class_data.make(archive)
    left = {file.name for file in archive.parent.iterdir()} - {"bin", "lib", "lock", "base.jsa", archive.stem + ".size"}
    assert left == {"spark-2.jsa", "spark-3.jsa", archive.name}


def test_the_name_tells_versions_and_jars_apart(environment, tmp_path, monkeypatch):
    home = java.use_java()
    archive = class_data.archive_of(home)
    assert archive == class_data.archive_of(home)
    assert archive.name.startswith(
        f"spark-{class_data.version('pyspark')}-java-{java.full_version(home / 'lib' / '..')}"
    )
    (tmp_path / "spark" / "jars").mkdir(parents=True)
    (tmp_path / "spark" / "jars" / "a.jar").write_text("")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "spark"))
    other = class_data.archive_of(home)
    (tmp_path / "spark" / "jars" / "a.jar").write_text("more")
    assert len({archive, other, class_data.archive_of(home)}) == 3


def test_none_for_a_java_outside_the_environment(environment, tmp_path):
    assert class_data.archive_of(tmp_path) is None
    assert class_data.use(None) == [*class_data.OPTIONS]
    assert class_data.use(tmp_path / "none.jsa") == [*class_data.OPTIONS]


def test_a_maker_that_would_make_another_archive_makes_none(tmp_path):
    """Its environment may lead to another Java: what it was asked for is what it makes, or nothing, not even a wrapper."""
    asked_for = tmp_path / "java" / "00000000" / "spark-0-java-0-00000000.jsa"
    theirs = tmp_path / "their" / "bin"
    theirs.mkdir(parents=True)
    (theirs / "java").symlink_to(java.use_java() / "bin" / "java")
    before = set((Path(sys.prefix) / "java").glob("*"))
    command = [sys.executable, "-m", "pipeline.class_data", str(asked_for)]
    environment = {**os.environ, "JAVA_HOME": str(theirs.parent)}
    assert subprocess.run(command, cwd=PROJECT, env=environment, timeout=60, check=False).returncode == 0
    assert list(tmp_path.iterdir()) == [theirs.parent]
    assert set((Path(sys.prefix) / "java").glob("*")) == before


def test_archives_of_other_javas_count_as_old_ones_and_those_of_none_go(environment, monkeypatch):
    """A Java that is gone takes wrapper and archive along; of Javas that are there few archives stay."""
    archive = class_data.archive_of(java.use_java())
    gone, there = (archive.parent.parent / name for name in ("gone", "there"))
    for home in (gone, there):
        home.mkdir()
        for age in range(3):
            (home / f"spark-{age}.jsa").write_text("old")
            (home / f"spark-{age}.size").write_text("3")
            os.utime(home / f"spark-{age}.jsa", (age, age))
    (gone / "lib").symlink_to(environment / "no Java" / "lib")
    (there / "lib").symlink_to(archive.parent / "lib")
    monkeypatch.setattr("pipeline.session.record_classes", lambda options: False)
    assert class_data.make(archive)
    assert not (there / "spark-0.jsa").exists()
    class_data.make_later(archive)  # It is there.
    assert sorted(home.name for home in archive.parent.parent.iterdir()) == sorted([archive.parent.name, "there"])
    assert {file.name for file in there.iterdir()} == {"lib", "spark-2.jsa", "spark-2.size"}
