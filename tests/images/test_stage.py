"""What is fetched is there at every moment, wherever a run is stopped on its way to other images."""

import pytest

from pipeline import storage
from pipeline.images import stage
from pipeline.recipe import Images

FIRST, OTHER = Images(fetch=True, quality=95), Images(fetch=True, quality=77)


def begin(output, options, force=False) -> str:
    return stage._take_up(str(output), options, 1, force)


def fetch(folder: str, name: str) -> None:
    storage.write_bytes(storage.join(folder, name), name.encode())


def finish(output, options, name, force=False) -> None:
    folder = begin(output, options, force)
    fetch(folder, name)
    stage._put_in_place(str(output), folder)


def fetched(output) -> set[str]:
    return {file.name for file in (output / "fetched").iterdir()} - {stage.PLAN}


def test_what_is_begun_goes_on(tmp_path):
    for options, force in ((FIRST, False), (OTHER, False), (FIRST, True)):
        folder = begin(tmp_path, options, force)
        fetch(folder, "a.tar")
        assert begin(tmp_path, options, force) == folder
        assert storage.names(folder) == [stage.PLAN, "a.tar"]
        if options is FIRST and not force:
            stage._put_in_place(str(tmp_path), folder)
        assert fetched(tmp_path) == {"a.tar"}


def test_another_making_that_was_begun_stays(tmp_path):
    finish(tmp_path, FIRST, "first.tar")
    begun = begin(tmp_path, OTHER)
    fetch(begun, "other.tar")
    finish(tmp_path, FIRST, "more.tar")
    assert fetched(tmp_path) == {"first.tar", "more.tar"}
    assert begin(tmp_path, OTHER) == begun
    assert "other.tar" in storage.names(begun)
    finish(tmp_path, OTHER, "last.tar")
    assert fetched(tmp_path) == {"other.tar", "last.tar"}
    assert not list(tmp_path.glob(".fetched-*"))


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_is_stopped_on_the_way_into_place_loses_nothing(tmp_path, monkeypatch, force, steps):
    """Stopped before each move; the next run, without force, goes on with one of the two whole sets."""
    finish(tmp_path, FIRST, "old.tar")
    options = FIRST if force else OTHER
    folder = begin(tmp_path, options, force)
    fetch(folder, "new.tar")
    real, left = storage.replace, [steps]

    def replace(*names):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        real(*names)

    with monkeypatch.context() as stopped:
        stopped.setattr(storage, "replace", replace)
        if steps < 2:
            with pytest.raises(KeyboardInterrupt):
                stage._put_in_place(str(tmp_path), folder)
        else:
            stage._put_in_place(str(tmp_path), folder)
    finish(tmp_path, options, "more.tar")
    assert fetched(tmp_path) == ({"old.tar", "more.tar"} if force and steps == 0 else {"new.tar", "more.tar"})
    if force and steps == 0:
        finish(tmp_path, options, "again.tar", force=True)
        assert fetched(tmp_path) == {"new.tar", "again.tar"}


def test_what_is_asked_for_again_is_said_before(tmp_path, capsys):
    finish(tmp_path, FIRST, "first.tar")
    assert "asked for again" not in capsys.readouterr().out
    for options, force, why in ((OTHER, False, "images.quality was 95, is 77"), (FIRST, True, "--force")):
        stage._take_up(str(tmp_path), options, 1234, force)
        assert f"All 1,234 images are asked for again: {why}" in capsys.readouterr().out
    storage.write_json(str(tmp_path / "fetched" / stage.PLAN), {"plan": "of an older version"})
    stage._take_up(str(tmp_path), FIRST, 5, False)
    assert "All 5 images are asked for again: how those that are there were made" in capsys.readouterr().out
