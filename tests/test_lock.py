"""One run at a time in an output: a second one says who is there, and a killed one is nobody."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.curate import curate
from pipeline.errors import UsageError
from pipeline.lock import held
from pipeline.recipe import Recipe

HOLD = "import sys, time; from pipeline.lock import held\nwith held(sys.argv[1]): print('held', flush=True); time.sleep(60)"


@pytest.fixture
def owner(tmp_path):
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_until_the_first_ends_however_it_ends(tmp_path, owner):
    message = (
        f"--output {tmp_path}: another run is at work there \\(process {owner.pid} on .*, since .*\\); wait for it"
    )
    with pytest.raises(UsageError, match=message), held(str(tmp_path)):
        pass
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    for _ in range(2):
        with held(f"file://{tmp_path}"), pytest.raises(UsageError, match="another run"), held(str(tmp_path)):
            pass
    assert (tmp_path / ".lock").read_bytes() == b""
    with held("memory://a/store"):  # which has no locks
        pass


def test_a_run_that_is_refused_changes_nothing(tmp_path, tmp_path_factory, owner):
    pool, entries = (tmp_path_factory.mktemp("given") / name for name in ("pool.jsonl", "en.txt"))
    pool.write_text('{"url": "http://x.test/a", "text": "a cat"}\n')
    entries.write_text("cat\n")
    recipe = Recipe.model_validate(
        {"name": "x", "entries": {"en": str(entries)}, "balance": {"t": 1}, "input": {"paths": [str(pool)]},
         "language": {"identify": "none"}}
    )  # fmt: skip
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match="another run is at work there"):
        curate(recipe, str(tmp_path))
    assert sorted(tmp_path.iterdir()) == before
