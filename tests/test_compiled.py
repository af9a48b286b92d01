"""Machine code is that of the sources: a change in a module that a kernel inlines compiles it again."""

import subprocess
import sys

import pytest

from pipeline.compiled import sources_digest

PART = "from pipeline.compiled import flat\nONE = {one}\n@flat\ndef part(number):\n    return number + ONE\n"
KERNEL = "from pipeline.compiled import flat\nfrom pipeline.part import part\n@flat\ndef kernel(number):\n    return part(number)\n"
RUN = "import pipeline, sys; pipeline.__path__.append(sys.argv[1]); from pipeline.kernel import kernel; print(kernel(1), sum(kernel.stats.cache_hits.values()))"


def test_a_kernel_is_compiled_again_where_another_module_changed(tmp_path):
    (tmp_path / "kernel.py").write_text(KERNEL)
    told = []
    for one in (1, 2, 2):
        (tmp_path / "part.py").write_text(PART.format(one=one))
        command = [sys.executable, "-c", RUN, str(tmp_path)]
        told.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert told == [["2", "0"], ["3", "0"], ["3", "1"]]


@pytest.mark.parametrize("module", ["pipeline.extract.page_scan", "pipeline.compiled"])
def test_the_digest_of_sources_stays(module):
    assert sources_digest(module) == sources_digest.__wrapped__(module)
