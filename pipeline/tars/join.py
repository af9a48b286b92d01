"""The sample of each pair: of those with the pair's name the first, by tar and place. Names are 128 bits of a hash."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

AMBIGUOUS, REPEATED = "ambiguous_key", "repeated_uid"


def first_samples(samples: pa.Table, refused: Counter) -> pa.Table:
    """One row a name, in order of the names, of samples (high, low, status, tar, by_key, and their place).

    A name that is in several tars is one sample, taken from the first. A key without a uid (``by_key``) names other
    samples in other tars, as every run of img2dataset counts from nought: its status becomes ``ambiguous_key``.
    ``refused`` counts what is not taken.
    """
    high, low = samples["high"].to_numpy(), samples["low"].to_numpy()
    tar = pc.rank(samples["tar"], tiebreaker="dense").to_numpy()
    order = np.lexsort((pc.fill_null(samples["image_offset"], -1).to_numpy(), tar, low, high))
    starts = np.flatnonzero(changes(high[order], low[order]))
    sizes = np.diff(np.append(starts, len(order)))
    by_key = pc.fill_null(samples["by_key"], False).to_numpy(zero_copy_only=False)[order]
    ambiguous = (sizes > 1) & (np.logical_or.reduceat(by_key, starts) if len(starts) else np.zeros(0, bool))
    refused[AMBIGUOUS] += int(sizes[ambiguous].sum())
    refused[REPEATED] += int((sizes[~ambiguous] - 1).sum())
    found = samples.take(pa.array(order[starts]))
    if not ambiguous.any():
        return found
    unclear = pa.array(ambiguous)
    columns = {
        name: pc.if_else(unclear, AMBIGUOUS if name == "status" else None, found[name])
        for name in found.column_names
        if name not in ("high", "low", "by_key")
    }
    return pa.table({name: columns.get(name, found[name]) for name in found.column_names})


def places_of(pairs: pa.Table, samples: pa.Table) -> pa.Table:
    """The pairs (high, low, id) that have a sample, with its status, tar and place; ``first_samples`` gives those."""
    high, low = (np.concatenate([side[name].to_numpy() for side in (samples, pairs)]) for name in ("high", "low"))
    # A sample stands before the pairs of its name, so it is the last one before each of them.
    order = np.lexsort((np.arange(len(high)) >= len(samples), low, high))
    is_sample = order < len(samples)
    last = np.maximum.accumulate(np.where(is_sample, np.arange(len(order)), -1))
    name = np.cumsum(changes(high[order], low[order]))
    has = ~is_sample & (last >= 0)
    has[has] = name[has] == name[last[has]]
    found = samples.take(pa.array(order[last[has]])).drop_columns(["high", "low", "by_key"])
    return found.add_column(0, "pair_id", pairs["id"].take(pa.array(order[has] - len(samples))))


def changes(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Whether each of the names, which are in order, is another than the one before."""
    return np.concatenate([[True], (np.diff(high) != 0) | (np.diff(low) != 0)])[: len(high)]
