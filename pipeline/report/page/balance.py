"""The figures of balancing: matches by rank, cumulative matches (MetaCLIP's figure 2), probability, other t."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.balance.counts import flat_ids
from pipeline.balance.size import grid_thresholds, log_grid
from pipeline.balance.thresholds import leader, tail_share
from pipeline.report.distribution import spread_ranks
from pipeline.report.page.source import Entries, Output, list_array

POINTS, CUMULATIVE_POINTS, LISTS = 90, 120, 40
GRID, BINS, SEEN = 24, 48, 30
TRIED = 40_000  # rows that other thresholds are tried on, where the pool is larger than the sample
ALL = ""  # the name of all lists together


def figures(output: Output) -> dict[str, Any]:
    """What the section draws: curves of the leading list, of all together, of the ``LISTS`` with most matches."""
    entries, matches = output.entries, output.matches
    t = {row["entry_list"]: row["t"] for row in threshold_rows(output)}
    largest = sorted(entries.sizes, key=lambda name: -entries.count[entries.slice(name)].sum())[:LISTS]
    first = leader(entries.counts())
    lists = {first: entries.slice(first)} | ({ALL: slice(None)} if len(entries.sizes) > 1 else {})
    lists |= {name: entries.slice(name) for name in largest}
    return {
        "t": t,
        "lists": [
            {"list": name, "t": t.get(name), **curves(matches[at], entries.count[at], entries.kept[at])}
            | probabilities(entries.count[at], entries.probability[at])
            for name, at in lists.items()
        ],
        "what_if": what_if(output, t.get(first)) if follows_one_t(output) else None,
    }


def follows_one_t(output: Output) -> bool:
    """Whether one ``t`` decides what is kept, so that others can be tried by the sum of keep probabilities."""
    options = output.section("balance")
    plain = options.get("mode", "sample") == "sample" and options.get("texts_per_image", "all") == "all"
    return plain and not options.get("domain") and not options.get("groups") and not isinstance(options.get("t"), dict)


def threshold_rows(output: Output) -> list[dict[str, Any]]:
    """The table ``thresholds``, a row a list."""
    return output.read("thresholds").to_pylist()


def curves(matches: np.ndarray, count: np.ndarray, kept: np.ndarray) -> dict[str, Any]:
    """Matches by rank of entry, each side sorted by itself; and their running sum from the tail to the head."""
    matched = int((matches > 0).sum())
    if not matched:
        return {"ranks": [], "pool": [], "deduped": [], "kept": [], "entries": [], "cumulative": []}
    ranks = spread_ranks(matched, POINTS)
    sides = {"pool": matches, "deduped": count, "kept": kept}
    by_rank = {name: np.sort(side)[::-1][ranks - 1].tolist() for name, side in sides.items()}
    order = np.argsort(count, kind="stable")
    order = order[len(order) - int((count > 0).sum()) :]
    at = np.unique(np.round(np.linspace(0, len(order), CUMULATIVE_POINTS)).astype(int))
    sums = [np.concatenate([[0], np.cumsum(side[order])])[at].tolist() for side in (count, kept)]
    return {"ranks": ranks.tolist(), **by_rank, "entries": at.tolist(), "cumulative": sums}


def probabilities(count: np.ndarray, probability: np.ndarray) -> dict[str, Any]:
    """The probability of entries against their count: entries at ranks evenly spaced in ratio."""
    order = np.argsort(-count, kind="stable")[: int((count > 0).sum())]
    if not len(order):
        return {"probability": []}
    at = order[spread_ranks(len(order), POINTS) - 1]
    return {"probability": [[int(c), round(float(p), 6)] for c, p in zip(count[at], probability[at], strict=True)]}


def what_if(output: Output, used: float | None) -> dict[str, Any] | None:
    """What other thresholds of the leading list would give, the others following its tail share; ``used`` among them.

    Sizes are sums of keep probabilities over a sample, the whole pool where that is smaller; so are the counts behind
    the leading list's curve.
    """
    entries, sample = output.entries, output.matched
    sample = sample.filter(pc.is_valid(sample["entry_list"]))
    sample = sample.filter(pa.array(~np.isin(sample["pair_id"].to_numpy(), output.removed)))
    counts = entries.counts()
    first = leader(counts)
    most = int(counts.of_list(first).max(initial=0)) + 1
    if not sample.num_rows or most < 2:
        return None
    pairs = sum(row["pairs"] for row in threshold_rows(output))
    if sample.num_rows < pairs:
        sample = sample[:TRIED].combine_chunks()
    ids, offsets = flat_ids(sample["entry_list"].combine_chunks(), list_array(sample), entries.starts)
    ts = np.unique(np.append(log_grid(1, most, GRID), used or 1.0))
    limits = grid_thresholds(counts, ts)
    scale, ascending = pairs / sample.num_rows, [np.sort(counts.of_list(name)) for name in entries.sizes]
    # What is done for each t is done for the entries of the sample alone.
    seen = np.flatnonzero(np.bincount(ids, minlength=len(entries.count)))
    at = places(seen, len(entries.count))[ids]
    share, list_of = 1.0 / np.maximum(entries.count[seen], 1), entries.list_numbers[seen]
    ours = np.flatnonzero(list_of[at] == list(entries.sizes).index(first))
    of_match = np.repeat(np.arange(sample.num_rows), np.diff(offsets))[ours]
    curve = Curve(counts.of_list(first), ids[ours] - entries.starts[first], whole=sample.num_rows >= pairs)
    lines = []
    for t, row in zip(ts, limits, strict=True):
        kept = by_chance(np.minimum(1.0, row[list_of] * share)[at], offsets)
        at_cap = [len(some) - np.searchsorted(some, limit, "right") for some, limit in zip(ascending, row, strict=True)]
        lines.append(
            {
                "t": float(t),
                "size": round(float(kept.sum()) * scale),
                "tail_share": round(tail_share(counts.of_list(first), float(t)), 5),
                "entries_at_cap": int(sum(at_cap)),
                "curve": curve.expected(kept[of_match]),
            }
        )
    return {"list": first, "pairs": pairs, "sampled": sample.num_rows, "ranks": curve.ranks.tolist(),
            "lines": lines}  # fmt: skip


def places(some: np.ndarray, size: int) -> np.ndarray:
    """Of each of ``size`` indices its place among ``some``, which ascend; 0 of the others."""
    found = np.zeros(size, np.int64)
    found[some] = np.arange(len(some))
    return found


def by_chance(probabilities: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """``keep_probability``, up to the last bits, of rows from the probabilities of all their matches in order.

    The kernel would have the process of a run load Numba for this alone: a second of its time.
    """
    found, some = np.zeros(len(offsets) - 1), np.diff(offsets) > 0
    if some.any():
        found[some] = 1.0 - np.multiply.reduceat(1.0 - probabilities, offsets[:-1][some])
    return found


class Curve:
    """What is expected to be kept of a list's entries, by rank, from the keep probabilities of a sample's matches.

    An entry keeps the mean of its matches where the sample has ``SEEN`` of them (or is the ``whole`` pool), else the
    mean of all matches with entries of about its count.
    """

    def __init__(self, count: np.ndarray, ids: np.ndarray, whole: bool):
        """``count``: of the list's entries; ``ids``: the entry of each match of the sample."""
        matched = np.flatnonzero(count)
        self.count, self.ids = count[matched], places(matched, len(count))[ids]
        edges = np.geomspace(1, self.count.max() + 1, BINS)
        self.bins = np.clip(np.searchsorted(edges, self.count, side="right") - 1, 0, BINS - 1)
        self.bin_of_match = self.bins[self.ids]
        self.seen = np.bincount(self.ids, minlength=len(matched))
        self.in_bin = np.bincount(self.bin_of_match, minlength=BINS)
        self.own = self.seen >= (1 if whole else SEEN)
        self.ranks = spread_ranks(len(matched), POINTS)

    def expected(self, kept: np.ndarray) -> list[float]:
        """The curve; ``kept``: the keep probability of each match."""
        of_entry = np.bincount(self.ids, kept, minlength=len(self.count)) / np.maximum(self.seen, 1)
        there = np.flatnonzero(self.in_bin)
        means = np.bincount(self.bin_of_match, kept, minlength=BINS)[there] / self.in_bin[there]
        of_bin = np.interp(np.arange(BINS), there, means) if len(there) else np.ones(BINS)
        found = self.count * np.where(self.own, of_entry, of_bin[self.bins])
        return np.round(np.sort(found)[::-1][self.ranks - 1], 1).tolist()


def moved(entries: Entries, most: int = 15) -> dict[str, list[int]]:
    """The entries (flat) whose share of all matches grew and shrank most from the pool to what is kept."""
    before, after = entries.count.sum(), entries.kept.sum()
    if not before or not after:
        return {"gained": [], "lost": []}
    change = entries.kept / after - entries.count / before
    order = np.argsort(change, kind="stable")
    return {
        "gained": [int(at) for at in order[::-1][:most] if change[at] > 0],
        "lost": [int(at) for at in order[:most] if change[at] < 0],
    }
