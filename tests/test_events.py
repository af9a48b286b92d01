"""The lines of ``events.jsonl``: added one by one, whole, whatever happened to the line before."""

import json
import os

import pytest

from pipeline import storage
from pipeline.errors import PipelineError
from pipeline.events import EVENTS, Events
from pipeline.record import Record

DONE = Record("match", "f", {}, {}, 10, 7, {"no_match": 3}, 1.5, [{"path": "matched/a", "bytes": 40}])


def lines(output):
    content = storage.read_bytes(storage.join(str(output), EVENTS)).decode()
    found = []
    for line in content.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append(line)
    return found


def events_of(output):
    events = Events(str(output), "r")
    with events.of_stage("match"):
        events.stage_ended(DONE)
    events.run_ended()
    return events


def test_a_run_that_does_nothing_leaves_no_line(tmp_path):
    Events(str(tmp_path), "r").run_ended()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["disk", "store"])
def test_runs_add_their_lines(place, tmp_path, request):
    output = tmp_path if place == "disk" else request.getfixturevalue("bucket") + "/out"
    events_of(output)
    events_of(output)
    found = lines(output)
    names = ["run_started", "stage_started", "stage_ended", "run_ended"]
    assert [line["event"] for line in found] == names * 2
    assert len({line["run"] for line in found}) == 2
    ended = found[2]
    assert (ended["rows_in"], ended["rows_out"], ended["dropped"]) == (10, 7, {"no_match": 3})
    assert (ended["bytes"], ended["files"], ended["seconds"]) == (40, 1, 1.5)


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_that_a_kill_cut_short_costs_itself_alone(cut, tmp_path):
    events_of(tmp_path)
    os.truncate(tmp_path / EVENTS, (tmp_path / EVENTS).stat().st_size - cut)
    before = (tmp_path / EVENTS).read_bytes()
    events_of(tmp_path)
    assert (tmp_path / EVENTS).read_bytes().startswith(before)
    found = lines(tmp_path)
    assert [line["event"] for line in found if isinstance(line, dict)][-4:] == [
        "run_started", "stage_started", "stage_ended", "run_ended"
    ]  # fmt: skip
    assert len([line for line in found if isinstance(line, str)]) == (1 if cut > 1 else 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [(PipelineError("--input: no rows"), "--input: no rows"), (ValueError("a\nb"), "ValueError: a"),
     (PipelineError("s3://KEY:SECRET@b/x: gone"), "s3://b/x: gone"),
     (KeyboardInterrupt(), "KeyboardInterrupt")],
)  # fmt: skip
def test_an_error_is_a_line(error, said, tmp_path):
    events = Events(str(tmp_path), "r")
    with pytest.raises(type(error)), events.of_stage("match"):
        raise error
    *_, failed, run = lines(tmp_path)
    assert (failed["event"], failed["stage"], failed["error"]) == ("stage_failed", "match", said)
    assert run["event"] == "run_failed"


def test_events_that_cannot_be_written_stop_no_run(tmp_path, capsys):
    (tmp_path / EVENTS).mkdir()
    events_of(tmp_path)
    assert capsys.readouterr().out.count("events.jsonl cannot be written") == 1
