"""Sessions under the shim, shared by the tests of faults."""

import os

import pytest

from tests.faults.cases import LONG, plain_cases, spark_cases
from tests.faults.points import Faults
from tests.faults.shim import compiler
from tests.images.site import Site


@pytest.fixture(scope="package")
def work(tmp_path_factory):
    """A folder for each session, and a site whose images they fetch."""
    if os.uname().sysname != "Linux" or compiler() is None:
        pytest.skip("the shim needs Linux and a C compiler")

    def opened(kind, cases, without=(), **environment):
        folder = tmp_path_factory.mktemp(kind)
        (folder / "set").mkdir()
        made = [case for case in cases(folder / "set", site.url) if case.name not in without]
        return Faults(kind, folder, made, environment)

    with Site() as site:
        yield opened
        site.shutdown()


@pytest.fixture(scope="package")
def quick(work):
    """Without Spark, and without what starts processes or fetches."""
    found = work("plain", plain_cases, LONG)
    yield found
    found.stop()


@pytest.fixture(scope="package")
def plain(work):
    """Without Spark."""
    for package in ("img2dataset", "torch"):
        pytest.importorskip(package)
    found = work("plain", plain_cases)
    yield found
    found.stop()


@pytest.fixture(scope="package")
def whole(work):
    """With a session of Spark."""
    pytest.importorskip("img2dataset")
    found = work("spark", spark_cases)
    yield found
    found.stop()
