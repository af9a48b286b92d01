"""One row a pair: of rows equal in (url, text) the smallest by all columns stays, and says how many there were."""

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# A column counts as it does in Spark: nulls first, texts by their bytes, NaN above all numbers; but 0.0 comes before
# -0.0, which Spark takes for equal, so that which of two rows stays does not depend on which came first.
RANKED = (pa.types.is_integer, pa.types.is_string, pa.types.is_binary, pa.types.is_boolean, pa.types.is_date,
          pa.types.is_timestamp, pa.types.is_time)  # fmt: skip


def distinct(rows: pa.Table, order: list[str]) -> tuple[pa.Table, int]:
    """The rows of distinct pair_id, ascending, with ``copies``; and how many contents went as their pair_id was taken.

    ``order``: the columns by which the smallest row is found, ``url`` and ``text`` first. The smallest content of a
    pair_id stays; its ``copies`` are the rows of the pair_id, less one for each content that went. Rows may have
    ``copies`` already, and count as so many.
    """
    ids = rows["pair_id"].to_numpy()
    sorting = np.argsort(ids, kind="stable")
    ids = ids[sorting]
    first = np.concatenate([[True], ids[1:] != ids[:-1]]) if len(ids) else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(ids)))
    copies, chosen, went = sizes, sorting[starts], 0
    if "copies" in rows.column_names:
        copies = np.add.reduceat(rows["copies"].to_numpy()[sorting], starts) if len(starts) else sizes
        rows = rows.drop_columns(["copies"])
    copies = copies.copy()
    if len(starts) < len(ids):
        group = np.cumsum(first) - 1
        repeated = np.flatnonzero(sizes[group] > 1)
        among = rows.take(pa.array(sorting[repeated]))
        ranks = [rank(among[name]) for name in order if name in among.column_names]
        best = np.lexsort([*reversed(ranks), group[repeated]])
        here = group[repeated][best]
        heads = np.concatenate([[True], here[1:] != here[:-1]])
        changed = np.logical_or(*(np.concatenate([[False], np.diff(column[best]) != 0]) for column in ranks[:2]))
        other = here[~heads & changed]
        np.subtract.at(copies, other, 1)
        chosen[here[heads]] = sorting[repeated][best][heads]
        went = len(other)
    return rows.take(pa.array(chosen)).append_column("copies", pa.array(copies)), went


def rank(column: pa.ChunkedArray) -> np.ndarray:
    """The dense rank of each value, nulls first."""
    kind = column.type
    if any(test(kind) for test in RANKED):
        found = pc.rank(column, sort_keys="ascending", tiebreaker="dense").to_numpy().astype(np.int64)
        return np.where(column.is_null().to_numpy(), 0, found)
    values = [_key(value) for value in column.to_pylist()]
    places = {key: place for place, key in enumerate(sorted(set(values)))}
    return np.array([places[key] for key in values], np.int64)


def _key(value: Any) -> tuple:
    """What sorts as the value does: of one column, so of one kind or null."""
    if value is None:
        return (0,)
    if isinstance(value, float):
        return (1, value != value, 0.0 if value != value else value, struct.pack(">d", value))
    if isinstance(value, list):
        return (1, tuple(map(_key, value)))
    return (1, value)
