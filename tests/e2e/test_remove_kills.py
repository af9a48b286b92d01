"""A removal that is killed at any of its steps is finished by whoever comes next, and no half of it passes for a set."""

import json
import shutil

import pytest

from pipeline import storage
from pipeline.command.verify import findings
from pipeline.errors import UsageError
from pipeline.removal import remove
from pipeline.remove import rewrite, tars
from pipeline.remove.work import FOLDER, unfinished
from tests.remove.held import holding

from .conftest import digests, run, table
from .test_kills import Killed
from .test_remove import write_list

FOLDERS = ("pairs", "matched", "clusters", "entry_counts", "thresholds", "curated", "shards", ".stages")


def killed_at(step, monkeypatch, removal):
    """Runs a removal up to a step: before a file is written or moved, or a file or folder removed. False: it ended."""
    left = [step]

    def counted(real):
        def one(*arguments, **options):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return one

    with monkeypatch.context() as watched:
        for place, name in (
            (storage, "write_bytes"), (storage, "replace"), (storage, "remove"), (rewrite, "write_bucket"),
            (tars, "_copied"),
        ):  # fmt: skip
            watched.setattr(place, name, counted(getattr(place, name)))
        try:
            removal()
        except Killed:
            return True
    return False


def says(output):
    """What a set holds, without what is of one removal."""
    rows = [{key: line[key] for key in ("asked", "pairs", "rows")} for line in
            json.loads((output / "removals.json").read_text())]  # fmt: skip
    return digests(output, *FOLDERS), rows


@pytest.mark.parametrize("every", [43, pytest.param(1, marks=pytest.mark.slow)], ids=["some steps", "each step"])
def test_killed_at_a_step(finished, work, tmp_path, monkeypatch, every):
    output, expected = tmp_path / "output", tmp_path / "expected"
    curated = table(finished, "curated")
    rows = [row for row in curated.to_pylist() if len(row["text"]) > 15 and "\n" not in row["text"]][:2]
    file, needle = (
        write_list(tmp_path, rows[0]["url"], rows[1]["text"]),
        [rows[0]["url"].encode(), rows[1]["text"].encode()],
    )
    shutil.copytree(finished, expected)
    remove(str(expected), file)
    assert holding(expected, needle) == []
    step, kills = 1, 0
    while True:
        shutil.copytree(finished, output)
        if not killed_at(step, monkeypatch, lambda: remove(str(output), file)):
            break
        kills += 1
        decided = unfinished(str(output))
        if decided or (output / FOLDER).exists():
            assert list(findings(str(output))), step
        if decided:
            with pytest.raises(UsageError, match="a removal that is not finished"):
                remove(str(output), file, dry_run=True)
        if decided and kills % 2:
            run(work / "recipe.yaml", output)
            assert says(output) == says(expected), step
        else:
            remove(str(output), file)
            assert says(output)[0] == says(expected)[0], step
        assert holding(output, needle) == [], step
        assert list(findings(str(output))) == [], step
        assert not (output / FOLDER).exists()
        shutil.rmtree(output)
        step += every
    assert says(output) == says(expected)
    assert kills >= (2 if every > 1 else 40)
