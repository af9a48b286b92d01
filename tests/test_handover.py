"""The process that is started ahead does the work of the one that Spark starts, and of none where that cannot be."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from pipeline import handover

ROOT = str(Path(__file__).resolve().parents[1])
# What is started ahead, and asks; it writes what it was given.
MODULE = """
    import json, os, sys
    from pipeline.handover import hand_over, listen, take_over
    listener = listen()
    if listener is None and hand_over():
        sys.exit(0)
    {early}
    if listener is None or take_over(listener):
        given = [sys.argv[1:], os.getcwd(), os.environ.get("GIVEN"), sys.stdin.readline()]
        print(json.dumps(["asked" if listener is None else "ahead", *given]), flush=True)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the two find each other, in a folder with a module of theirs."""

    def write(early: str = "") -> dict[str, str]:
        (tmp_path / "served.py").write_text(textwrap.dedent(MODULE).format(early=early))
        (tmp_path / "own").mkdir()
        return os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}", handover.PLACE: str(tmp_path / "own" / "place")}

    return write


def ahead(environment: dict[str, str]) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "served"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    while not os.path.exists(environment[handover.PLACE]) and process.poll() is None:
        time.sleep(0.01)
    return process


def ask(environment: dict[str, str], folder: Path) -> str:
    command = [sys.executable, "-m", "served", "pyspark.worker"]
    found = subprocess.run(
        command, env=environment | {"GIVEN": "a\udc80"}, cwd=folder, input="a line\n", capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


def told(by: str, folder: Path) -> str:
    return f'["{by}", ["pyspark.worker"], "{folder}", "a\\udc80", "a line\\n"]\n'


def test_it_has_streams_arguments_environment_and_folder_of_the_one_that_asks(place, tmp_path):
    environment = place()
    process = ahead(environment)
    assert ask(environment, tmp_path) == told("ahead", tmp_path)
    assert process.wait(10) == 0
    assert not (tmp_path / "own").exists()
    assert ask(environment, tmp_path) == told("asked", tmp_path), "the next one is for itself"


def test_without_one_that_asks_does_it_itself(place, tmp_path):
    environment = place()
    assert ask({key: value for key, value in environment.items() if key != handover.PLACE}, tmp_path) == told(
        "asked", tmp_path
    )
    assert ask(environment, tmp_path) == told("asked", tmp_path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(environment[handover.PLACE])
    assert ask(environment, tmp_path) == told("asked", tmp_path)


def test_one_that_dies_of_its_imports_is_none(place, tmp_path):
    environment = place('if listener: __import__("time").sleep(2); os._exit(3)')
    process = ahead(environment)
    assert ask(environment, tmp_path) == told("asked", tmp_path)
    assert process.wait(10) == 3


def test_it_ends_with_the_session_however_that_ends(place, tmp_path):
    process = ahead(place())
    process.stdin.close()
    assert process.wait(10) == 0
    assert process.stdout.read() == b""
    assert not (tmp_path / "own").exists()


@pytest.fixture
def short():
    """A folder with a short name, which one of a test may not have."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize(("name", "seed", "found"), [("t", None, "0"), ("t", "7", "7"), ("t" * 60, None, None)])
def test_it_is_started_as_spark_would_where_its_place_has_a_short_name(tmp_path, short, name, seed, found):
    """``found``: the seed that it is started with; None where it is not started."""
    folder = short / name
    folder.mkdir()
    written = tmp_path / "written"
    (tmp_path / "served.py").write_text(
        "import json, os\n"
        f"with open({str(written)!r}, 'w') as file:\n"
        "    json.dump([os.environ[name] for name in ('PYTHONHASHSEED', 'OMP_NUM_THREADS', 'PYTHONUNBUFFERED')], file)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}", "TMPDIR": str(folder)}
    environment = {name: value for name, value in environment.items() if name not in handover.AS_SPARK}
    code = "from pipeline import handover; handover.start('served'); p = handover._process; p and p.wait()"
    subprocess.run(
        [sys.executable, "-c", code],
        env=environment | ({"PYTHONHASHSEED": seed} if seed else {}),
        check=True,
        timeout=60,
    )
    assert (json.loads(written.read_text()) if written.exists() else None) == (found and [found, "1", "YES"])
    assert not list(folder.iterdir())


def test_workers_of_an_embedded_session_are_its_children():
    """In a process of its own: sessions of other tests may have lost theirs."""
    code = """
        import os
        import pyarrow as pa
        from pipeline import handover
        from pipeline.session import open_session
        rows = open_session("local[1]").range(0, 1, 1, 1)
        found = rows.mapInArrow(lambda batches: (pa.record_batch({"p": [os.getppid()]}) for _ in batches), "p bigint")
        print(found.collect()[0][0] == handover._process.pid, handover._process.pid)
    """
    environment = os.environ | {"PYTHONPATH": ROOT}
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr
    same, number = found.stdout.split()
    assert same == "True"
    for _ in range(100):
        if not os.path.exists(f"/proc/{number}"):
            break
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{number}")
