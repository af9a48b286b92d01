"""How many files a drawn table has: told by a part of the pool or by all of it, and put right where that was wrong."""

from math import ceil
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from pipeline.balance import stage
from pipeline.balance.pool import Pool
from pipeline.balance.spark import KEPT, ROWS, count_kept
from tests.balance.drawn import SIZES, decided, draw_of, with_draws
from tests.buckets.written import write_table


def run_of(local, tmp_path, files=None):
    balance = SimpleNamespace(files=files)
    return SimpleNamespace(
        session=local, output=str(tmp_path), list_sizes=SIZES, recipe=SimpleNamespace(balance=balance)
    )


@pytest.mark.parametrize(("rows_per_file", "t"), [(10, 30), (190, 3), (1500, 30), (3999, 1e9), (4000, 30)])
def test_they_are_expected_before_anything_is_written(local, matched, counts, monkeypatch, rows_per_file, t):
    monkeypatch.setattr(stage, "ROWS_PER_FILE", rows_per_file)
    pool = matched(3)
    draw = draw_of(local, pool, counts, t)
    kept = sum(stays for _, stays, _ in decided(pool, draw))
    assert stage.expected_files(local, pool, draw) == max(1, ceil(kept / rows_per_file))


@pytest.mark.parametrize(("buckets", "parts"), [(3, 1), (33, 2)])
def test_a_part_of_the_pool_tells_of_the_whole(local, counts, tmp_path, buckets, parts):
    pool = Pool(write_table(tmp_path / "pool", with_draws(3), buckets))
    draw = draw_of(local, pool, counts, 30)
    rows = [(pair["pair_id"] + 2**63, stays) for pair, stays, _ in decided(pool, draw)]
    inside = [stays for place, stays in rows if place % (2**64 // parts) < 2**64 // (16 * parts)]
    part = count_kept(local, pool, draw, 16).lines
    assert (part[ROWS, None], part[KEPT, None]) == (len(inside), sum(inside))
    assert 0 < sum(inside) < len(inside) < len(rows) / 10
    whole = count_kept(local, pool, draw).lines
    assert (whole[ROWS, None], whole[KEPT, None]) == (len(rows), sum(stays for _, stays in rows))


@pytest.mark.parametrize(("given", "expected", "files"), [(None, 1, 4), (None, 9, 4), (None, 4, 4), (7, 1, 7)])
def test_what_was_expected_wrongly_is_written_again(
    local, matched, counts, monkeypatch, tmp_path, given, expected, files
):
    pool = matched(3)
    draw = draw_of(local, pool, counts, 30)
    kept = sum(stays for _, stays, _ in decided(pool, draw))
    monkeypatch.setattr(stage, "ROWS_PER_FILE", ceil(kept / 4))
    monkeypatch.setattr(stage, "expected_files", lambda *_: expected)
    found = stage.draw(run_of(local, tmp_path, given), pool, draw, "drawn")
    written = sorted((tmp_path / ".staging" / "drawn").iterdir())
    assert [file.name for file in written] == [f"part-{number:05d}.parquet" for number in range(files)]
    assert found.lines[KEPT, None] == kept == sum(pq.read_metadata(file).num_rows for file in written)
