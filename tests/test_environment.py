"""The environment of executors: what it holds, and whether a package is the same."""

import shutil
from importlib.metadata import distribution

import pytest

from pipeline.environment import PACKAGE, digest, distributions, package_files, write_archive
from pipeline.errors import UsageError


def test_it_holds_what_the_package_needs_and_not_spark():
    found = distributions([])
    assert {"pyarrow", "numpy", "numba", "llvmlite", "pydantic-core", "pycparser"} <= set(found)  # near and far
    assert not {"pyspark", "py4j", "pytest", "torch"} & set(found)
    assert found["numpy"].version == distribution("numpy").version
    more = set(distributions(["images"])) - set(found)
    assert "img2dataset" in more or pytest.importorskip("img2dataset")


def test_the_modules_of_the_package_without_lists_and_compiled_ones():
    names = {str(file.relative_to(PACKAGE)) for file in package_files()}
    assert {"session.py", "match/spark.py", "language/merged.tsv", "recipes/demo.yaml"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".nbi")) or name.startswith("shipped")]


def test_a_package_is_the_same_where_its_modules_are(tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__", "static"))
    (copy / "recipes" / "mine.yaml").write_text("name: mine")
    assert digest(str(copy)) == digest(str(PACKAGE))
    (copy / "match" / "spark.py").write_text((copy / "match" / "spark.py").read_text() + "\n")
    assert digest(str(copy)) != digest(str(PACKAGE))
    assert digest(str(tmp_path / "none")) != digest(str(copy))


@pytest.mark.parametrize("name", ["environment.zip", "environment.tar", "environment"])
def test_an_archive_that_spark_does_not_unpack_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match=r"not known by its name; allowed: \.tar\.gz, \.tgz"):
        write_archive(tmp_path / name, [])
    assert not list(tmp_path.iterdir())
