"""Ascending ids in parts, as tables give them: whether they ascend, and which of them are among others."""

from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.buckets.files import Files
from pipeline.buckets.keys import among


def ids_of(files: Files, column: str | None = None) -> Iterator[np.ndarray]:
    """The pair_ids of a table, in its order; those alone where a boolean column is false, where one is named."""
    for batch in files.read(0, 1, ["pair_id", *([column] if column else [])]):
        if column:
            batch = batch.filter(~batch.column(column).to_numpy(zero_copy_only=False))
        if batch.num_rows:
            yield batch.column("pair_id").to_numpy()


def first_not_ascending(parts: Iterable[np.ndarray]) -> tuple[int, bool] | None:
    """The first id that is not above the one before it, and whether it is the same; None where all are."""
    last = None
    for ids in parts:
        whole = ids if last is None else np.append(last, ids)
        wrong = np.flatnonzero(whole[1:] <= whole[:-1])
        if len(wrong):
            at = int(wrong[0]) + 1
            return int(whole[at]), bool(whole[at] == whole[at - 1])
        last = ids[-1]
    return None


def told_apart(parts: Iterable[np.ndarray], others: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The ids that are among the others, and those that are not, part by part. Both ascend; memory is that of parts."""
    others = iter(others)
    other, none = next(others, None), np.zeros(0, np.int64)
    for ids in parts:
        while len(ids):
            if other is None:
                yield none, ids
                break
            end = int(np.searchsorted(ids, other[-1], side="right"))
            here, ids = ids[:end], ids[end:]
            if len(here):
                found = among(here, other)
                yield here[found], here[~found]
            if len(ids):
                other = next(others, None)
