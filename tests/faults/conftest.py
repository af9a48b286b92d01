"""Sessions under the shim, shared by the tests of faults."""

import os

import pytest

from tests.faults.cases import plain_cases, spark_cases
from tests.faults.points import Faults
from tests.faults.shim import compiler
from tests.images.site import Site


@pytest.fixture(scope="package")
def work(tmp_path_factory):
    """A folder for each session, and a site whose images they fetch."""
    if os.uname().sysname != "Linux" or compiler() is None:
        pytest.skip("the shim needs Linux and a C compiler")
    pytest.importorskip("img2dataset")

    def opened(kind, cases, **environment):
        folder = tmp_path_factory.mktemp(kind)
        (folder / "set").mkdir()
        return Faults(kind, folder, cases(folder / "set", site.url), environment)

    with Site() as site:
        yield opened
        site.shutdown()


@pytest.fixture(scope="package")
def plain(work):
    """Without Spark."""
    found = work("plain", plain_cases)
    yield found
    found.stop()


@pytest.fixture(scope="package")
def whole(work):
    """With a session of Spark."""
    found = work("spark", spark_cases)
    yield found
    found.stop()
