"""Pairs with the places of their images: two tables in buckets, both in order of pair_id, read side by side."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.buckets.files import Files

SUCCESS = "success"


def rows_in_range(
    pairs: Files, places: Files | None, first: int, end: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """The pairs with an id in [first, end) that have an image, and its place; all of them where ``places`` is None."""
    there = None if places is None else places_in_range(places, first, end)
    for batch in pairs.read_ids(first, end, columns):
        if there is None:
            yield batch
            continue
        batch = with_place(batch, there)
        yield batch.filter(pc.fill_null(pc.equal(batch.column("status"), SUCCESS), False))


def places_in_range(places: Files, first: int, end: int) -> pa.Table:
    """The places of the pairs with an id in [first, end)."""
    return pa.Table.from_batches(places.read_ids(first, end), places.schema()).combine_chunks()


def with_place(batch: pa.RecordBatch, places: pa.Table) -> pa.RecordBatch:
    """The pairs with the columns of their places, nulls where there is none."""
    ids, there = batch.column("pair_id").to_numpy(), places["pair_id"].to_numpy()
    at = np.searchsorted(there, ids)
    found = np.zeros(len(ids), bool)
    inside = at < len(there)
    found[inside] = there[at[inside]] == ids[inside]
    taken = places.drop_columns(["pair_id"]).take(pa.array(at, mask=~found)).combine_chunks()
    columns = [taken[name].combine_chunks() for name in taken.column_names]
    return pa.RecordBatch.from_arrays([*batch.columns, *columns], [*batch.schema.names, *taken.column_names])
