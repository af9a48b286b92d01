"""What a machine runs out of: one line that says what and where, and a whole set once there is more of it."""

import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from tests.faults.points import differs, says
from tests.faults.shim import DEATH

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path):
    """Mounts a small disk in memory; what it gives mounts it again with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "none", place], check=False)
        if done.returncode:
            pytest.skip("to mount a small disk takes the rights of root")
        return place

    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", place], check=False, stderr=subprocess.DEVNULL)


def ended(told, *patterns):
    """The one line of a command that failed."""
    assert told.code > 0, told.said
    assert told.wrong() is None
    line = next(line for line in told.said.splitlines() if line.startswith("error: "))
    for pattern in patterns:
        assert re.search(pattern, line), line
    return line


def curated(whole, output, *more):
    return whole.ask(*whole.by_name["all"].arguments, *more, "--output", str(output))


@pytest.fixture
def expected(whole, tmp_path):
    told = curated(whole, tmp_path / "plain")
    assert told.code == 0, told.said
    return says(tmp_path / "plain")


@pytest.mark.parametrize("option", ["size={}k", "nr_inodes={}"])
def test_a_full_disk_says_so_until_there_is_room(whole, disk, expected, option):
    room, lines = 8, []
    place = disk("mode=755", option.format(room))
    what = r"No space left in \S+/disk/set" + (r" for another file \(no inodes\)" if "inodes" in option else ": ")
    begin = []
    if "inodes" not in option:  # A run that does not fit is refused, unless it is forced.
        ended(curated(whole, place / "set"), r"the run needs about [\d.]+ [kM]B there, and [\d.]+ k?B are free")
        begin = ["--force"]
    while (told := curated(whole, place / "set", *begin)).code:
        lines.append(ended(told, what, r"needed for [a-z_, ]+; what is finished stays|cannot be written"))
        assert not (place / "set" / "manifest.json").exists()
        room *= 2
        disk("remount", option.format(room))
        assert room < 1 << 14
    assert len(lines) > 2
    if "report.html is not written" in told.said:  # The set is whole without it, and the next run makes it.
        disk("remount", option.format(1 << 16))
        assert curated(whole, place / "set").code == 0
    assert differs(says(place / "set"), expected) is None


def test_a_disk_that_cannot_be_written(whole, disk, expected):
    place = disk("mode=755", "size=64m")
    assert curated(whole, place / "set").code == 0
    before = says(place / "set")
    disk("remount", "ro")
    ended(
        curated(whole, place / "set", "--set", "balance.t=5"), r"/disk/set: cannot be written: [Rr]ead-only file system"
    )
    ended(curated(whole, place / "other"), r"/disk/other: cannot be written: [Rr]ead-only file system")
    assert says(place / "set") == before


def test_how_much_is_lacking(whole, disk):
    """By the tasks that are done: here one for each shard."""
    shards, place = whole.by_name["shards"], disk("mode=755", "size=64m")
    whole.whole(whole.by_name["balance"])
    shutil.copytree(whole.work / "after" / "balance", place / "set")
    arguments = [*shards.arguments, "--set", "shards.samples=2", "--output", str(place / "set")]
    disk("remount", f"size={shutil.disk_usage(place).used // 1024 + 200}k")
    line = ended(whole.ask(*arguments), "No space left in .*/disk/set: about")
    found = re.search(r"about (\d+(?:\.\d)?) ([kM])B more are needed for shards", line)
    about = float(found[1]) * {"k": 1e3, "M": 1e6}[found[2]]
    disk("remount", "size=64m")
    assert whole.ask(*arguments).code == 0
    size = sum(file.stat().st_size for file in (place / "set" / "shards").iterdir())
    assert 0.3 * size < about < 3 * size


@contextmanager
def _session_of(work, **environment):
    found = work("spark", lambda *given: [], **environment)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_a_full_disk_of_spark(work, whole, disk, expected, tmp_path):
    place = disk("mode=777", "size=256k")
    with _session_of(work, SPARK_LOCAL_DIRS=str(place)) as session:
        (place / "filled").write_bytes(bytes(shutil.disk_usage(place).free))
        told = session.ask(*whole.by_name["all"].arguments, "--output", str(tmp_path / "set"))
        ended(told, r"No space left in \S+/disk: more is needed for ")
        (place / "filled").unlink()
        disk("remount", "size=64m")
        assert session.ask(*whole.by_name["all"].arguments, "--output", str(tmp_path / "set")).code == 0
    assert differs(says(tmp_path / "set"), expected) is None


@pytest.mark.parametrize("memory", [1 << 20, 8 << 20, 32 << 20])
def test_too_little_memory_at_the_driver(whole, expected, tmp_path, memory):
    arguments = [*whole.by_name["all"].arguments, "--output", str(tmp_path / "set")]
    told = whole.ask(*arguments, memory=memory)
    if told.code:
        ended(told, "Not enough memory for ")
    assert whole.ask(*arguments).code == 0
    assert differs(says(tmp_path / "set"), expected) is None


def test_too_little_memory_at_the_workers(work, whole, expected, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text("spark.executor.pyspark.memory 1m\n")
    with _session_of(work, SPARK_CONF_DIR=str(tmp_path / "conf")) as session:
        told = session.ask(*whole.by_name["all"].arguments, "--output", str(tmp_path / "set"))
    ended(told, "Not enough memory for |A worker process was ended")
    assert curated(whole, tmp_path / "set").code == 0
    assert differs(says(tmp_path / "set"), expected) is None


def test_a_worker_that_is_killed(whole):
    """As the system does with one that takes too much: here at the first write of its bucket."""
    case = whole.by_name["match"]
    size = whole.size("match", "death")
    for number in range(1, size):
        whole.begin(case)
        whole.control.arm(DEATH, number, False)
        told = whole.command(case)
        if ".staging/matched/.0" in whole.control.where:
            break
    ended(told, "A worker process was ended from outside in matched, most often by the system for want of memory")
