"""Tasks in processes of this machine: what they give, and what goes wrong in them."""

import gc
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.buckets.blocks import blocks, packed
from pipeline.buckets.spark import attempt, run_tasks, session_file, shuffle
from pipeline.errors import PipelineError
from pipeline.failure import explained
from pipeline.local import task
from pipeline.local.session import LocalSession
from pipeline.local.workers import Workers
from pipeline.tables import describe_files

N = pa.schema({"n": pa.int64()})
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone")


@pytest.fixture(scope="module")
def session():
    session = LocalSession(Workers(2))
    yield session
    session.stop()


def numbers(*values):
    yield pa.record_batch({"n": pa.array(values, pa.int64())})


def of(rows):
    return sorted(rows.toArrow()["n"].to_pylist())


def left(session):
    gc.collect()
    return os.listdir(session.folder)


def test_each_item_has_a_task(session):
    def work(item):
        yield from numbers(item, len(item_of_all))

    item_of_all = session.sparkContext.broadcast([1, 2, 3]).value
    rows = run_tasks(session, [5, 6, 7], work, N)
    assert of(rows) == [3, 3, 3, 5, 6, 7]
    assert rows.count() == 6
    assert of(rows.union(rows)) == sorted(2 * of(rows))
    assert run_tasks(session, [], work, N).toArrow().schema == N
    assert left(session) == []


def test_rows_are_made_once_where_they_are_kept(session, tmp_path):
    def work(item):
        (tmp_path / f"{item}-{attempt()}").touch()
        yield from numbers(*range(item))

    rows = run_tasks(session, [0, 1, 3], work, N).kept()
    assert of(rows) == of(rows.coalesce(1)) == [0, 0, 1, 2]
    assert rows.union(rows).count() == 8
    assert len(list(tmp_path.iterdir())) == 3
    assert len(left(session)) == 1
    del rows
    assert left(session) == []


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 99)), max_size=8), max_size=4),
    st.integers(5, 7),
)
def test_rows_come_to_their_target_a_part_at_a_time(session, items, targets):
    def work(rows):
        for some in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            for target, part, n in some:
                yield blocks(np.array([target]), next(numbers(n)), np.array([part]))

    def gather(target, parts):
        for part, tables in parts:
            found = sorted(n for rows in tables for n in rows["n"].to_pylist())
            yield pa.record_batch({"target": [target], "part": [part], "numbers": [found]})

    schema = pa.schema({"target": pa.int64(), "part": pa.int64(), "numbers": pa.list_(pa.int64())})
    found = shuffle(run_tasks(session, items, work), targets, gather, schema).toArrow()
    want = {}
    for target, part, n in (row for rows in items for row in rows):
        want.setdefault((target, part), []).append(n)
    lines = [(key, sorted(values)) for key, values in sorted(want.items())]
    assert [((t, p), n) for t, p, n in (line.values() for line in found.to_pylist())] == lines


def test_tasks_find_the_files_of_the_session(session, tmp_path):
    file = tmp_path / "a file ü.txt"
    file.write_text("12")
    session.sparkContext.addFile(file.as_uri())
    assert of(run_tasks(session, [0], lambda _: numbers(int(Path(session_file(file.name)).read_text())), N)) == [12]


def test_files_are_described_by_tasks(session, tmp_path, monkeypatch):
    from pipeline import tables

    for name in "abc":
        (tmp_path / "t").mkdir(exist_ok=True)
        (tmp_path / "t" / name).write_text(name)
    here = describe_files(session, str(tmp_path), ["t"])
    monkeypatch.setattr(tables, "READ_HERE", 0)
    assert describe_files(session, str(tmp_path), ["t"]) == here
    assert len(here) == 3


def test_threads_take_turns(session):
    def work(start):
        return [of(run_tasks(session, [start + n for n in range(6)], lambda item: numbers(item), N)) for _ in range(5)]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(work, range(0, 400, 100)))
    assert found == [[[start + n for n in range(6)]] * 5 for start in range(0, 400, 100)]


def test_rows_of_many_files_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(task, "MOST_OPEN", 3)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(20), 2))
    for file in range(20):
        (tmp_path / str(file)).write_bytes(packed(next(numbers(file))))
    size = (tmp_path / "0").stat().st_size
    files = tuple(str(tmp_path / str(file)) for file in range(20))
    source, before = task.Extents(files, order, np.zeros(40, int), np.full(40, size)), len(os.listdir("/proc/self/fd"))
    for batch, file in zip(source(), order, strict=True):
        assert batch["n"].to_pylist() == [file]
        assert len(os.listdir("/proc/self/fd")) <= before + 3
    assert len(os.listdir("/proc/self/fd")) == before


def test_rows_outlive_a_forked_process_that_ends(session):
    rows = run_tasks(session, [1, 2], lambda item: numbers(item), N).kept()
    child = os.fork()
    if child == 0:
        del rows
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert of(rows) == [1, 2]


class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(first)


class NoError(Exception):
    def __reduce__(self):
        return int, ("5",)


class Leaves(Exception):
    def __reduce__(self):
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (lambda: PipelineError("a line"), PipelineError, "a line"),
        (lambda: OSError(28, "No space left on device", "/x"), OSError, "No space left"),
        (lambda: MemoryError("much"), MemoryError, "much"),
        (lambda: Odd(1, 2), RuntimeError, "Odd"),
        (lambda: NoError("a line"), RuntimeError, "NoError: a line"),
        (lambda: Leaves("a line"), RuntimeError, "Leaves: a line"),
        (lambda: ValueError("long " * 100_000), RuntimeError, "ValueError: long .* … .*long"),
    ],
)
def test_what_a_task_raises_is_raised(session, error, kind, told):
    def work(item):
        if item == 1:
            raise error()
        time.sleep(0.2)
        yield from numbers(item)

    with pytest.raises(kind, match=told):
        run_tasks(session, [0, 1, 2], work, N).count()
    assert session.share_done() in (0, 1 / 3)
    assert of(run_tasks(session, [0, 2], work, N)) == [0, 2]  # The session goes on.


def test_a_worker_that_is_killed(session):
    def work(item):
        os.kill(os.getpid(), signal.SIGKILL)
        yield from numbers(item)

    with pytest.raises(RuntimeError) as raised:
        run_tasks(session, [0, 1, 2], work, N).count()
    assert "A worker process was ended from outside in matched" in explained(raised.value, "/out", "matched")
    assert of(run_tasks(session, [4], lambda item: numbers(item), N)) == [4]
