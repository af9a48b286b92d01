"""Real runs on a standalone cluster whose executors have the packed environment alone, killed wherever it may hurt.

Each output must have the bytes of a run on this machine alone.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.cluster.standalone import PROJECT, SPARK, Cluster, clean, kill_driver
from tests.e2e.conftest import digests, run
from tests.pool import write_pool, write_recipe

STAGES = ("ingest", "match", "dedupe", "balance", "shards")
TABLES = ("pairs", "matched", "clusters", "entry_counts", "thresholds", "curated", "shards")
MOST_SECONDS = 400

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    file = tmp_path_factory.mktemp("archive") / "environment.tar.gz"
    command = [sys.executable, "-m", "pipeline.command.package", "--output", str(file)]
    subprocess.run(command, check=True, cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)})
    return file


@pytest.fixture(scope="module")
def cluster(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    with tarfile.open(archive) as packed:
        packed.extractall(folder / "environment", filter="fully_trusted")
    found = Cluster(folder / "machines", folder / "environment")
    yield found
    found.stop()


@pytest.fixture(scope="module")
def work(tmp_path_factory, spark):
    """A recipe, whose shards are large so that writing one takes a while, and what a local run makes of it."""
    folder = tmp_path_factory.mktemp("work")
    recipe = write_recipe(folder, write_pool(folder / "pool", files=4))
    recipe.write_text(recipe.read_text().replace("samples: 100", "samples: 600"))
    run(recipe, folder / "local")
    return folder


@pytest.fixture(scope="module")
def expected(work):
    found = digests(work / "local", *TABLES)
    assert {path.split("/")[0] for path in found} == set(TABLES)
    return found


def begun(cluster, work, output, *arguments, **conf):
    recipe = str(work / "recipe.yaml")
    return cluster.submit("curate", "--recipe", recipe, "--output", str(output), *arguments,
                          log=work / f"{output.name}.log", **conf)  # fmt: skip


def ended(process, work, output):
    assert process.wait(MOST_SECONDS) == 0, (work / f"{output.name}.log").read_text()[-4000:]


def events(output):
    """The events so far."""
    try:
        lines = (output / "events.jsonl").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def wait_for(found, process):
    """Until something is there, which is returned; None where the process ended before."""
    until = time.monotonic() + MOST_SECONDS
    while time.monotonic() < until:
        if there := found():
            return there
        if process.poll() is not None:
            return None
        time.sleep(0.005)
    raise AssertionError("it took too long")


def began(output, stage):
    return lambda: any(e["event"] == "stage_started" and e["stage"] == stage for e in events(output))


def test_executors_use_the_packed_environment(cluster, work, archive, tmp_path):
    """With ``--archives``: the package that tasks import lies in the unpacked archive, and is not sent along."""
    script = tmp_path / "where.py"
    script.write_text(
        "import json\nfrom pipeline.session import open_session\n"
        "def look(batches):\n"
        "    import os, sys, pipeline, pyarrow, numpy\n"
        "    found = [pipeline.__file__, pyarrow.__file__, numpy.__file__, sys.executable, os.getcwd(), *sys.path]\n"
        "    for _ in batches:\n"
        "        yield pyarrow.record_batch({'place': found})\n"
        "session = open_session()\n"
        "rows = session.range(0, 8, 1, 8).mapInArrow(look, 'place string').collect()\n"
        "print('PLACES', json.dumps(sorted({row[0] for row in rows})))\n"
    )
    done = subprocess.run(
        [str(SPARK / "bin" / "spark-submit"), "--master", cluster.url, "--archives", f"{archive}#environment",
         "--conf", "spark.pyspark.python=./environment/bin/python", "--conf", f"spark.pyspark.driver.python={sys.executable}",
         "--conf", "spark.driver.host=127.0.0.1", "--conf", "spark.executor.memory=700m", str(script)],
        capture_output=True, text=True, check=False, timeout=MOST_SECONDS, env=clean(PYTHONPATH=str(PROJECT)),
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("PLACES")]
    places = json.loads(line.removeprefix("PLACES "))
    assert any(place.endswith("environment/lib/python3.11/site-packages/pipeline/__init__.py") for place in places)
    for place in places:
        assert not place.startswith(str(PROJECT)), place
        if place.endswith("__init__.py"):
            assert str(cluster.folder) in place
            assert "/environment/lib/" in place


def test_an_executor_is_killed_in_every_stage(cluster, work, expected, tmp_path):
    output = work / "executors"
    process = begun(cluster, work, output)
    rng, killed = random.Random(1), []
    for stage in STAGES:
        assert wait_for(began(output, stage), process)
        time.sleep(rng.random() * 0.5)
        there = wait_for(cluster.executors, process)
        os.kill(rng.choice(there), signal.SIGKILL)
        killed.append(stage)
    ended(process, work, output)
    assert killed == list(STAGES)
    assert digests(output, *TABLES) == expected


def test_the_driver_is_killed_at_twenty_points(cluster, work, expected, spark):
    """Each time the next run, on this machine, gives the same bytes; half of the kills find an output begun before."""
    rng, stages = random.Random(2), []
    for point in range(20):
        output = work / f"driver-{point}"
        process = begun(cluster, work, output)
        stage = STAGES[point % len(STAGES)]
        assert wait_for(began(output, stage), process)
        time.sleep(rng.random())
        kill_driver(process)
        last = events(output)[-1]
        stages.append((last["event"], last.get("stage")))
        run(work / "recipe.yaml", output)
        assert digests(output, *TABLES) == expected, (point, last)
        assert [line["event"] for line in events(output)][-1] in ("run_ended", "stage_ended")
        shutil.rmtree(output)
    assert len({stage for _, stage in stages}) >= 4


@pytest.mark.parametrize("what", ["python", "machine"])
def test_a_worker_is_killed_while_it_writes_a_shard(cluster, work, expected, what):
    output = work / f"shard-{what}"
    shutil.copytree(work / "local", output)
    staging = output / ".staging" / "shards"
    for _ in range(5):  # until it was met
        process = begun(cluster, work, output, "--force", "--set", "shards.samples=600")
        wait_for(lambda: [*staging.glob("*.part")], process)
        if what == "python":
            for pid in cluster.python_workers():
                os.kill(pid, signal.SIGKILL)
        else:
            cluster.kill_worker()
        met = [*staging.glob("*.part")]
        ended(process, work, output)
        if what == "machine":
            cluster.start_worker(9)
        assert digests(output, *TABLES) == expected
        if met:
            break
    assert met


def test_speculation(cluster, work, expected):
    output = work / "speculation"
    conf = {"spark_speculation": "true", "spark_speculation_quantile": "0.1", "spark_speculation_multiplier": "1.01",
            "spark_speculation_interval": "10ms"}  # fmt: skip
    ended(begun(cluster, work, output, **conf), work, output)
    assert digests(output, *TABLES) == expected
