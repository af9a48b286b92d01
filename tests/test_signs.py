"""One run at a time in a store: two real processes, a dead one, one that lost its sign, and two at once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from pipeline import signs, storage
from pipeline.curate import curate
from pipeline.errors import PipelineError, UsageError
from pipeline.lock import held
from pipeline.recipe import Recipe

HOLD = "import sys, time; from pipeline.lock import held\nwith held(sys.argv[1]): print('held', flush=True); time.sleep(60)"


def held_elsewhere(output):
    process = subprocess.Popen([sys.executable, "-c", HOLD, output], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def output(tmp_path):
    """A folder of a store that has no locks: fsspec's name of this machine's disk."""
    return f"local://{tmp_path}/output"


def signs_in(output):
    return storage.names(storage.join(output, signs.FOLDER))


def test_a_second_process_is_refused_and_a_dead_one_is_nobody(output):
    owner = held_elsewhere(output)
    message = rf"another run is at work there \(process {owner.pid} on .*, since .*\); wait .* remove {output}/.signs/"
    for _ in range(2):
        with pytest.raises(UsageError, match=message), held(output):
            pass
    assert len(signs_in(output)) == 1
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    with held(output):
        assert len(signs_in(output)) == 1
    assert signs_in(output) == []


def test_a_run_of_another_machine_is_forgotten_when_it_shows_no_life(output, monkeypatch):
    monkeypatch.setattr(signs.socket, "gethostname", lambda: "elsewhere")
    owner = held_elsewhere(output)
    monkeypatch.setattr(signs, "EXPIRY", 1.5)
    try:
        with pytest.raises(UsageError, match="another run"), held(output):
            pass
        time.sleep(2)
        with held(output):
            assert len(signs_in(output)) == 1
    finally:
        owner.kill()
        owner.wait()


def test_a_sign_is_renewed_whatever_the_clock_says(output, monkeypatch):
    monkeypatch.setattr(signs, "RENEWAL", 0.05)
    with held(output) as check:
        first = storage.open_filesystem(output)[0].get_file_info(_sign(output)).mtime_ns
        monkeypatch.setattr(time, "time", lambda: 0.0)
        time.sleep(0.5)
        assert storage.open_filesystem(output)[0].get_file_info(_sign(output)).mtime_ns > first
        check()


def _sign(output):
    return storage.open_filesystem(storage.join(output, signs.FOLDER, signs_in(output)[0]))[1]


def test_who_lost_its_sign_writes_no_more(output, monkeypatch):
    monkeypatch.setattr(signs, "RENEWAL", 0.05)
    with held(output) as check:
        storage.remove(storage.join(output, signs.FOLDER, signs_in(output)[0]))
        with pytest.raises(PipelineError, match="lost its hold"):
            check()
        time.sleep(0.3)
        assert signs_in(output) == []
        with held(output), pytest.raises(PipelineError, match="lost its hold"):
            check()


def test_of_many_that_begin_at_once_at_most_one_goes_on(output):
    inside, most, ended = [], [], []

    def begin():
        try:
            with held(output):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.02)
                inside.pop()
                ended.append(True)
        except UsageError:
            ended.append(False)

    for _ in range(5):
        threads = [threading.Thread(target=begin) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ended) == 30
    assert max(most, default=1) == 1
    with held(output):
        pass


def test_a_file_system_without_locks_has_signs(tmp_path, monkeypatch):
    from pipeline import lock

    def refuse(*_):
        raise OSError(lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with held(str(tmp_path)), pytest.raises(UsageError, match="another run"), held(str(tmp_path)):
        pass


@pytest.mark.slow
def test_two_processes_in_s3(bucket, tmp_path):
    output = f"{bucket}/a/set"
    owner = held_elsewhere(output)
    with pytest.raises(UsageError, match=f"process {owner.pid} on"), held(output):
        pass
    (tmp_path / "pool.jsonl").write_text('{"url": "http://x.test/a", "text": "a cat"}\n')
    (tmp_path / "en.txt").write_text("cat\n")
    recipe = Recipe.model_validate(
        {"name": "x", "entries": {"en": str(tmp_path / "en.txt")}, "balance": {"t": 1}, "dedupe": {"scope": "none"},
         "input": {"paths": [str(tmp_path / "pool.jsonl")]}, "language": {"identify": "none"}}
    )  # fmt: skip
    with pytest.raises(UsageError, match=f"another run is at work there .process {owner.pid} on"):
        curate(recipe, output)
    assert storage.names(output) == [signs.FOLDER]
    owner.kill()
    owner.wait()
    with held(output) as check:
        check()
    assert signs_in(output) == []


def test_a_sign_that_goes_while_others_are_looked_at_is_no_run(output, monkeypatch):
    """Its run ended between the listing and the reading; this was a FileNotFoundError now and then."""
    folder = storage.join(output, signs.FOLDER)
    storage.make_folder(folder)
    other, read = storage.join(folder, "0.json"), storage.read_bytes
    storage.put(other, storage.json_bytes({"process": os.getpid(), "host": socket.gethostname(), "since": "now"}))

    def gone(path):
        if path == other and storage.exists(path):
            storage.remove(path)
        return read(path)

    monkeypatch.setattr(storage, "read_bytes", gone)
    with held(output) as check:
        check()
