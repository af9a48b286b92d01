"""Tasks, their shuffle and their totals: tables of the same bytes from any partitioning, retried tasks counted once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.buckets.blocks import blocks
from pipeline.buckets.files import Files
from pipeline.buckets.spark import run_tasks, shuffle, totals, write_rows
from pipeline.buckets.totals import RANGE, Totals

PROJECT = Path(__file__).resolve().parents[2]


def ids_of(batches):
    return [i for batch in batches for i in batch["pair_id"].to_pylist()]


def rows(spark, count=1000):
    ids = np.random.default_rng(0).permutation(np.linspace(-(2.0**63), 2.0**63 - 2048, count).astype(np.int64))
    found = pa.table(
        {
            "pair_id": ids,
            "text": [None if i % 7 == 0 else f"text {i}" for i in ids.tolist()],
            "n": pa.nulls(count, pa.int32()),
        }
    )
    return spark.createDataFrame(found), found.sort_by("pair_id")


@pytest.mark.parametrize("buckets", [1, 3])
def test_a_table_has_the_same_bytes_from_any_partitioning(spark, tmp_path, buckets):
    there, want = rows(spark)
    found = []
    for name, partitions in (("a", 1), ("b", 7)):
        write_rows(there.repartition(partitions, "text"), str(tmp_path / name), buckets)
        files = sorted((tmp_path / name).iterdir())
        assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(buckets)]
        assert pa.concat_tables([pq.read_table(file) for file in files]).equals(want)
        found.append([file.read_bytes() for file in files])
        for bucket in range(5):  # in any other number of buckets too
            assert ids_of(Files.of(str(tmp_path / name)).read(bucket, 5)) == [
                i for i in want["pair_id"].to_pylist() if (i + 2**63) * 5 >> 64 == bucket
            ]
    assert found[0] == found[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_of_nothing(spark, tmp_path):
    there, _ = rows(spark)
    write_rows(there.where("false"), str(tmp_path / "t"), 3)
    files = sorted((tmp_path / "t").iterdir())
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(3)]
    assert all(pq.read_table(file).num_rows == 0 for file in files)
    assert {tuple(pq.read_schema(file).names) for file in files} == {("pair_id", "text", "n")}


def test_empty_buckets_are_filled_and_what_was_there_goes(spark, tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "part-00009.parquet").write_bytes(b"old")
    few = spark.createDataFrame([(5, "a"), (2**62, "b")], "pair_id bigint, text string")
    write_rows(few, str(tmp_path / "t"), 7)
    counts = [pq.read_metadata(file).num_rows for file in sorted((tmp_path / "t").iterdir())]
    assert counts == [0, 0, 0, 1, 0, 1, 0]


def test_a_folder_whose_url_ends_in_options(spark, tmp_path, bucket):
    """Rows on their way are in a folder beside the table, and the options stay at the end."""
    there, want = rows(spark, 50)
    store = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://")
    options = f"?scheme=http&endpoint_override={store}&region=us-east-1"
    folder = f"s3://testing:testing@bucket/out/t{options}"
    write_rows(there, folder, 2)
    files = Files.of(folder)
    assert [i for at in (0, 1) for i in ids_of(files.read(at, 2))] == want["pair_id"].to_pylist()
    assert storage.names(f"s3://testing:testing@bucket/out{options}") == ["t"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc on this system")
def test_workers_hold_no_file_that_was_removed(spark, tmp_path):
    there, _ = rows(spark)
    write_rows(there.repartition(4), str(tmp_path / "t"), 3)

    def held(_):
        links = [
            os.readlink(f"/proc/self/fd/{fd}")
            for fd in os.listdir("/proc/self/fd")
            if os.path.islink(f"/proc/self/fd/{fd}")
        ]
        yield pa.record_batch({"path": pa.array([link for link in links if "t-rows/" in link], pa.string())})

    assert run_tasks(spark, list(range(8)), held, pa.schema({"path": pa.string()})).toArrow().num_rows == 0


def test_totals_of_tasks(tasks):
    """Sums of several ranges, added up by several tasks, and lines."""
    size = 2 * RANGE + 5

    def work(item):
        found = Totals()
        for index in item:
            found.count(np.array([index]), np.array([index + 1]))
        found.lines["rows", None] += len(item)
        yield from found.blocks()

    items = [[0, RANGE - 1], [RANGE, 3], [2 * RANGE + 4, 3], []]
    want = np.zeros(size, np.int64)
    for item in items:
        for index in item:
            want[index] += index + 1
    for known in (size, None):
        found = totals(run_tasks(tasks, items, work), known)
        assert (found.numbers(size) == want).all()
        assert found.lines == {("rows", None): 6}


def test_rows_come_to_their_target_a_part_at_a_time(tasks):
    def work(item):
        yield blocks(np.array([0, 2, 2]), pa.record_batch({"n": [item, 10 + item, 20 + item]}), np.array([1, 0, 3]))

    def gather(target, parts):
        for part, tables in parts:
            numbers = sorted(n for rows in tables for n in rows["n"].to_pylist())
            yield pa.record_batch({"target": [target], "part": [part], "numbers": [numbers]})

    schema = pa.schema({"target": pa.int64(), "part": pa.int64(), "numbers": pa.list_(pa.int64())})
    found = (
        shuffle(run_tasks(tasks, [1, 2, 3], work), 4, gather, schema)
        .toArrow()
        .sort_by([("target", "ascending"), ("part", "ascending")])
    )
    assert [tuple(line.values()) for line in found.to_pylist()] == [
        (0, 1, [1, 2, 3]), (2, 0, [11, 12, 13]), (2, 3, [21, 22, 23]),
    ]  # fmt: skip


RETRIED = """
import os, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from pipeline.buckets import spark as tasks
from pipeline.buckets.files import write_bucket
from pipeline.buckets.totals import Totals
from pipeline.session import open_session

folder, flags = sys.argv[1:]
spark = open_session("local[2,3]")
schema = pa.schema({"pair_id": pa.int64()})

def dies_once(name):
    flag = Path(flags) / name
    if not flag.exists():
        flag.write_text("")
        raise RuntimeError("dies once")

def send(item):
    rows = tasks.Scatter(tasks.new_spool(f"{folder}-rows"), 3)
    yield from rows.add(pa.record_batch({"pair_id": np.arange(-10, 10) * 2**59 + item}))
    yield from rows.rest()
    rows.spool.close()
    dies_once(f"send {item}")

def write(bucket, parts):
    found = Totals()
    rows = (pa.concat_tables(tables).sort_by("pair_id") for _, tables in parts)
    found.lines["rows",] = write_bucket(folder, bucket, tasks.attempt(), rows, schema)
    found.count(np.array([bucket]), np.array([found.lines["rows",]]))
    yield from found.blocks()
    dies_once(f"write {bucket}")

os.makedirs(folder); os.makedirs(f"{folder}-rows")
found = tasks.totals(tasks.shuffle(tasks.run_tasks(spark, [0, 1, 2, 3], send), 3, write), 3)
print("counted", found.lines["rows",], found.numbers(3).sum())
"""


def test_a_task_that_fails_once_counts_nothing_twice(tmp_path):
    """After it wrote its file, and after it sent its rows; in a session of its own, whose tasks are retried."""
    (tmp_path / "flags").mkdir()
    script = tmp_path / "retried.py"
    script.write_text(RETRIED)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "t"), str(tmp_path / "flags")],
        capture_output=True, text=True, check=False, cwd=PROJECT,
    )  # fmt: skip
    assert "counted 80 80" in done.stdout, done.stderr[-2000:]
    assert len(list((tmp_path / "flags").iterdir())) == 7
    assert sorted(file.name for file in (tmp_path / "t").iterdir()) == [f"part-{i:05d}.parquet" for i in range(3)]
    ids = [i for file in sorted((tmp_path / "t").iterdir()) for i in pq.read_table(file)["pair_id"].to_pylist()]
    assert ids == sorted(n * 2**59 + item for n in range(-10, 10) for item in range(4))
