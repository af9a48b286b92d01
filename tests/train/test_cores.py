"""How many workers there are, and what is said where one fails."""

import os

import pytest

from pipeline.errors import PipelineError
from pipeline.train.cores import usable_cores

from .conftest import write_tar

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000"}, CORES),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000"}, 1),
        ("0::/a/b", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/elsewhere", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "9900000 100000"}, CORES),
        ("3:cpu,cpuacct:/x\n0::/", {"cpu/x/cpu.cfs_quota_us": "100000", "cpu/x/cpu.cfs_period_us": "100000"}, 1),
        ("3:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, CORES),
        ("0::/a", {"a/cpu.max": "nonsense"}, CORES),
        (None, {}, CORES),
    ],
)
def test_limits_of_control_groups_count(tmp_path, own, files, cores):
    """The fault: workers were as many as the machine's cores, 64 in a container that may use 2."""
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    if own is not None:
        (tmp_path / "own").write_text(own + "\n")
    assert usable_cores(tmp_path / "own", tmp_path / "groups") == cores


def test_affinity_counts():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_workers_error_is_one_line(recipe, train, tmp_path):
    """The fault: the traceback of the worker was printed."""
    tar = write_tar(tmp_path / "set.tar", {f"{n}.{kind}": b"x" for n in range(40) for kind in ("png", "txt")})
    with pytest.raises(PipelineError) as error:
        train(recipe(data__shards=f'["{tar}"]', data__workers=1, data__max_broken=1.0), tmp_path / "run")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"data.shards: {tar}: ")


@pytest.mark.parametrize("seed", [10**16, pytest.param(2**63 - 1, marks=pytest.mark.slow)])
def test_any_seed_trains(recipe, train, tmp_path, seed):
    """The fault: from 1e16 on a seed ended the run at its first step, as more than 64 bits."""
    assert train(recipe(seed=seed, steps=1), tmp_path / "run")["step"] == 1
