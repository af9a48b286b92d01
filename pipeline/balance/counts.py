"""Entry counts: for every entry the number of pairs whose match set has it (MetaCLIP, section 3.3).

Counts are combined over a whole task, so that a task emits a row per entry it saw and not a row per match.
"""

import numpy as np
import pyarrow as pa

from pipeline.buckets.totals import Totals
from pipeline.compiled import compiled

# A list's matches are held as ids until there are this many times fewer than its entries would take as a dense array.
DENSE_SHARE = 8
# Weights are whole numbers of this part, so that their sums are exact in any order.
WEIGHT_UNIT = 1 << 20
PAIRS = "pairs"
# A hidden folder in `matched`: the entry counts of its pairs; in `clusters`: of those that were removed.
COUNTS = "_counts"


class EntryCounter:
    """Counts the matches of batches by list: ids while they are few, then a dense array of the list's length."""

    def __init__(self, sizes: dict[str, int]):
        """``sizes``: the number of entries of each list."""
        self.sizes = sizes
        self.pairs: dict[str, int] = {}
        self._ids: dict[str, list[np.ndarray]] = {}
        self._weights: dict[str, list[np.ndarray]] = {}
        self._held: dict[str, int] = {}
        self._dense: dict[str, np.ndarray] = {}

    def add(self, lists: pa.Array, entries: pa.ListArray, weights: np.ndarray | None = None) -> None:
        """Counts a batch: the list of each row, its entries, and what it counts for (int64; 1 by default).

        A row without a list has no entries.
        """
        coded = lists.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        offsets = entries.offsets.to_numpy()
        ids = entries.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
        one = len(coded.dictionary) == 1 and not lists.null_count
        of_match = None if one else np.repeat(codes, np.diff(offsets))
        of_ids = None if weights is None else np.repeat(weights, np.diff(offsets))
        for code, name in enumerate(coded.dictionary.to_pylist()):
            rows, matches = (slice(None),) * 2 if one else (codes == code, of_match == code)
            pairs = int((codes == code).sum() if weights is None else weights[rows].sum())
            self.pairs[name] = self.pairs.get(name, 0) + pairs
            self._add(name, ids[matches], None if of_ids is None else of_ids[matches])

    def _add(self, name: str, ids: np.ndarray, weights: np.ndarray | None) -> None:
        if name not in self._dense and self._held.get(name, 0) + len(ids) < self.sizes[name] // DENSE_SHARE:
            self._ids.setdefault(name, []).append(ids)
            self._weights.setdefault(name, []).append(np.ones(len(ids), np.int64) if weights is None else weights)
            self._held[name] = self._held.get(name, 0) + len(ids)
            return
        if name not in self._dense:
            self._dense[name] = np.zeros(self.sizes[name], np.int64)
            for held, held_weights in zip(self._ids.pop(name, []), self._weights.pop(name, []), strict=True):
                add_weights(self._dense[name], held, held_weights)
        if weights is None:
            add_ones(self._dense[name], ids)
        else:
            add_weights(self._dense[name], ids, weights)

    def add_to(self, totals: Totals, starts: dict[str, int]) -> None:
        """Adds what was counted to ``totals``: by flat index (``starts`` of each list), and ``(pairs, list)`` lines."""
        for name, pairs in sorted(self.pairs.items()):
            totals.lines[PAIRS, name] += pairs
            if name in self._dense:
                seen = np.flatnonzero(self._dense[name])
                found = self._dense[name][seen]
            else:
                held = np.concatenate(self._ids.get(name) or [np.zeros(0, np.int32)]).astype(np.int64)
                weights = np.concatenate(self._weights.get(name) or [np.zeros(0, np.int64)])
                seen, places = np.unique(held, return_inverse=True)
                found = np.zeros(len(seen), np.int64)
                np.add.at(found, places, weights)
            totals.count(seen + starts[name], found)


@compiled
def add_ones(counts, ids):
    """Counts each id."""
    for i in range(len(ids)):
        counts[ids[i]] += 1


@compiled
def add_weights(counts, ids, weights):
    """Adds the weight of each id."""
    for i in range(len(ids)):
        counts[ids[i]] += weights[i]


class ListCounts:
    """The counts of all lists in one flat array: the entries of the lists, sorted by name, one after the other."""

    def __init__(self, sizes: dict[str, int]):
        """All counts zero; ``sizes`` is the number of entries of each list."""
        self.sizes = dict(sorted(sizes.items()))
        self.starts, total = {}, 0
        for name, size in self.sizes.items():
            self.starts[name] = total
            total += size
        self.counts = np.zeros(total, np.int64)
        self.pairs = dict.fromkeys(self.sizes, 0)

    @classmethod
    def of_totals(cls, sizes: dict[str, int], totals: Totals) -> "ListCounts":
        """The counts that ``EntryCounter.add_to`` put together over all tasks."""
        result = cls(sizes)
        result.counts = totals.numbers(len(result.counts))
        result.pairs = {name: totals.lines[PAIRS, name] for name in result.sizes}
        return result

    @classmethod
    def of(cls, sizes: dict[str, int], counted: pa.Table) -> "ListCounts":
        """The counts of ``as_table``."""
        result = cls(sizes)
        lists = counted["entry_list"].combine_chunks().dictionary_encode()
        starts = np.array([result.starts[name] for name in lists.dictionary.to_pylist()], np.int64)
        codes = lists.indices.to_numpy(zero_copy_only=False)
        ids, counts = counted["entry_id"].to_numpy(), counted["count"].to_numpy()
        entry = ids >= 0
        if entry.any():
            result.counts[starts[codes[entry]] + ids[entry]] = counts[entry]
        for row in np.flatnonzero(~entry):
            result.pairs[lists.dictionary[codes[row]].as_py()] = int(counts[row])
        return result

    def as_table(self) -> pa.Table:
        """(entry_list, entry_id, count) of the entries with matches; entry_id -1 has the number of the list's pairs."""
        parts = []
        for name in self.sizes:
            counts = self.of_list(name)
            seen = np.flatnonzero(counts)
            ids, found = np.append(seen, -1).astype(np.int32), np.append(counts[seen], self.pairs[name])
            parts.append(pa.table({"entry_list": pa.repeat(name, len(ids)), "entry_id": ids, "count": found}))
        return pa.concat_tables(parts)

    def less(self, other: "ListCounts") -> "ListCounts":
        """The counts less those of some of the pairs."""
        result = ListCounts(self.sizes)
        result.counts = self.counts - other.counts
        result.pairs = {name: pairs - other.pairs[name] for name, pairs in self.pairs.items()}
        return result

    def weighted(self) -> "ListCounts":
        """The counts of weights in ``WEIGHT_UNIT`` as plain numbers (float64)."""
        result = ListCounts(self.sizes)
        result.counts = self.counts / WEIGHT_UNIT
        result.pairs = {name: pairs / WEIGHT_UNIT for name, pairs in self.pairs.items()}
        return result

    def entry_at(self, index: int) -> tuple[str, int]:
        """The list and entry id of a flat index."""
        name = max((name for name in self.starts if self.starts[name] <= index), key=lambda name: self.starts[name])
        return name, index - self.starts[name]

    def of_list(self, name: str) -> np.ndarray:
        """The counts of one list, by entry id."""
        return self.counts[self.starts[name] : self.starts[name] + self.sizes[name]]


def flat_ids(lists: pa.Array, entries: pa.ListArray, starts: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The entries of a batch as indices into the flat array of all lists, and the rows' offsets into them.

    A row without a list has no entries.
    """
    coded = lists.dictionary_encode()
    row_start = np.array([starts[name] for name in coded.dictionary.to_pylist()], np.int64)
    offsets = entries.offsets.to_numpy().astype(np.int64)
    ids = entries.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    if len(row_start) < 2:
        return ids + row_start.sum(), offsets
    of_row = row_start[coded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
    return ids + np.repeat(of_row, np.diff(offsets)), offsets
