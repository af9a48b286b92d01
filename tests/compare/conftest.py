"""A comparison of two recipes over a pool that is there."""

import pytest

from pipeline.compare.comparison import Comparison


@pytest.fixture
def comparison(tmp_path):
    pool, heldout = tmp_path / "pool.parquet", tmp_path / "heldout"
    pool.write_bytes(b"")
    (heldout / "cat").mkdir(parents=True)
    return Comparison(
        recipes=("metaclip-400m", "metaclip-2.5b"),
        pool=(str(pool),),
        output=tmp_path / "out",
        classification=(str(heldout),),
        settings=("images.root=.", "images.prefix=https://"),
    )
