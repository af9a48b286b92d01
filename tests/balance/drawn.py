"""A pool with its draws by independent code, and what is drawn of it."""

import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from pipeline import tables
from pipeline.balance.cap import Cutoffs
from pipeline.balance.counts import ListCounts
from pipeline.balance.draw import COLUMNS, Draw
from pipeline.balance.spark import (
    KEPT,
    count_entries,
    find_cutoffs,
    write_drawn,
)
from pipeline.balance.thresholds import entry_limits, followed, probabilities

SIZES = {"en": 60, "de": 25}


START = {"de": 0, "en": 25}


def hashed(seed: int, pair_id: int) -> int:
    inner = xxhash.xxh64(struct.pack("<q", seed), seed=42).intdigest()
    return xxhash.xxh64(struct.pack("<q", pair_id), seed=inner).intdigest()


def pairs(seed=0, rows=4000):
    """Pairs with Zipf-like entries: (pair_id, image_id, entry_list, entries)."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(-(2**63), 2**63 - 1, rows)
    found = []
    for pair_id in ids.tolist():
        name = "en" if rng.random() < 0.7 else "de"
        weights = 1 / np.arange(1, SIZES[name] + 1)
        picked = rng.choice(SIZES[name], size=rng.integers(1, 4), replace=False, p=weights / weights.sum())
        found.append((pair_id, f"image{rng.integers(0, rows // 3)}", name, sorted(picked.tolist())))
    return found


PAIRS = pairs()


def with_draws(seed, found=None) -> pa.Table:
    ids, images, lists, entries = zip(*(PAIRS if found is None else found), strict=True)
    draws = [(hashed(seed, pair_id) >> 11) * 2.0**-53 for pair_id in ids]
    entries = pa.array(entries, pa.list_(pa.int32()))
    return pa.table({"pair_id": ids, "image_id": images, "entry_list": lists, "entries": entries, "draw": draws})


def limits_of(counts, t):
    return followed(counts, {"en": float(t)})


def draw_of(spark, pool, counts, t, mode="sample"):
    limits = entry_limits(counts, limits_of(counts, t))
    cutoffs = None
    if mode == "cap":
        capped = count_entries(spark, pool, SIZES)
        cutoffs = find_cutoffs(spark, pool, Cutoffs.start(capped.counts, limits), counts.starts)
    return Draw(mode, counts.starts, probabilities(counts, limits), cutoffs)


def drawn(spark, pool, draw, folder, files=3):
    """What was counted, and the table that was written."""
    schema = pool.pairs.schema()
    if "keep_probability" not in schema.names:
        schema = tables.with_columns(schema, keep_probability=tables.DOUBLE)
    folder.mkdir(parents=True)
    found = write_drawn(spark, pool, draw, SIZES, str(folder), files, schema)
    written = sorted(folder.iterdir())
    assert [file.name for file in written] == [f"part-{i:05d}.parquet" for i in range(files)]
    table = pa.concat_tables([pq.read_table(file) for file in written])
    assert table["pair_id"].to_pylist() == sorted(table["pair_id"].to_pylist())
    assert found.lines[KEPT, None] == table.num_rows
    kept = ListCounts.of_totals(SIZES, found)
    assert kept.counts.tolist() == counted(
        zip(*(table[name].to_pylist() for name in ("entry_list", "entries")), strict=True)
    )
    return found.lines, table


def counted(matches) -> list[int]:
    flat = np.zeros(sum(SIZES.values()), np.int64)
    for name, entries in matches:
        flat[[START[name] + entry for entry in entries]] += 1
    return flat.tolist()


def kept_ids(table):
    return set(table["pair_id"].to_pylist())


def decided(pool, draw):
    """(pair, kept, keep probability) of every pair, without Spark."""
    for batch in pool.read(0, 1, COLUMNS):
        kept, share = draw.decide(batch)
        yield from zip(batch.to_pylist(), kept.tolist(), share.tolist(), strict=True)
