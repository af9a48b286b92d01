"""An output made once for the tests of the report. Not to be changed."""

import pytest

from tests.report.made import LISTS, write_output, zipf_pairs


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    return write_output(tmp_path_factory.mktemp("made") / "output", LISTS, zipf_pairs(LISTS, 3000))
