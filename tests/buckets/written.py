"""Tables in buckets, written for tests by Python's own numbers."""

from pathlib import Path

import pyarrow as pa

from pipeline.buckets.files import Files, write_bucket


def write_table(folder: Path, rows: pa.Table, buckets: int) -> Files:
    """Writes rows in any order as a table of so many files."""
    folder.mkdir(parents=True)
    rows = rows.sort_by("pair_id")
    places = [(pair_id + 2**63) * buckets >> 64 for pair_id in rows["pair_id"].to_pylist()]
    for bucket in range(buckets):
        here = rows.filter(pa.array([place == bucket for place in places], pa.bool_()))
        write_bucket(str(folder), bucket, "0", iter(here.to_batches()), rows.schema)
    return Files.of(str(folder))
