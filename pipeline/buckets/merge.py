"""Rows that are added to a bucket of a table, in the order of pair_id."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipeline.buckets.keys import among


def merged(rows: Iterator[pa.RecordBatch], added: pa.Table, gone: np.ndarray) -> Iterator[pa.Table]:
    """The rows without those whose pair_id is in ``gone``, with the added ones; all are in order of pair_id."""
    more, at = added["pair_id"].to_numpy(), 0
    for batch in rows:
        ids = batch.column("pair_id").to_numpy()
        end = int(np.searchsorted(more, ids[-1])) if len(ids) else at
        left = among(ids, gone)
        if left.any():
            batch = batch.filter(pa.array(~left))
        table = pa.Table.from_batches([batch])
        if end > at:
            table = in_order(pa.concat_tables([table, added[at:end]]))
        at = end
        yield table
    yield added[at:]


def in_order(rows: pa.Table) -> pa.Table:
    """The rows by pair_id."""
    return rows.combine_chunks().take(pa.array(np.argsort(rows["pair_id"].to_numpy(), kind="stable")))
