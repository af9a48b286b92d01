"""Rows across the stages: in = out + dropped, out of one = in of the next, and both those of the tables."""

from collections.abc import Iterator

from pipeline.verify.opened import Opened

# The table whose rows a stage counts as going out.
OUT = {"extract": "extracted", "ingest": "pairs", "match": "matched", "balance": "curated", "filter": "filtered",
       "rebalance": "final"}  # fmt: skip
APART = "images"  # counts images, not pairs


def check_accounts(found: Opened) -> Iterator[str]:
    """The stages whose rows do not add up."""
    before = None
    for stage, record in found.records.items():
        name, gone = f".stages/{stage}.json", sum(record.dropped.values())
        if record.rows_in != record.rows_out + gone:
            yield f"{name}: {record.rows_in:,} rows in, but {record.rows_out:,} out and {gone:,} dropped"
        if stage in OUT and (rows := found.rows(OUT[stage])) != record.rows_out:
            yield f"{name}: {record.rows_out:,} rows out, but {OUT[stage]} has {rows:,}"
        if stage == APART:
            if (rows := found.rows("images")) != record.rows_in:
                yield f"{name}: {record.rows_in:,} images asked for, but images has {rows:,}"
            continue
        if before is not None and record.rows_in != before.rows_out:
            yield f"{name}: {record.rows_in:,} rows in, but {before.stage} has {before.rows_out:,} out"
        before = record
