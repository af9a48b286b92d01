"""The draw: which pairs stay, by the recipe's mode: sample, cap, none or random."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.balance.cap import Cutoffs, kept_rows, keys
from pipeline.balance.counts import flat_ids
from pipeline.balance.groups import smallest
from pipeline.balance.thresholds import keep_probability

OTHER_TEXT, NOT_DRAWN, OVER_CAP = "other_text_of_image", "not_drawn", "over_cap"
COLUMNS = ["pair_id", "entry_list", "entries", "draw"]


@dataclass(frozen=True)
class Draw:
    """``starts`` of each list and the ``probability`` of its entries, flat; ``cutoffs`` of the hard cap.

    A random choice has one cut-off, and a ``share`` that is the keep probability of all pairs. ``factor``: that of
    each entry, flat, where the shares of groups are capped.
    """

    mode: str
    starts: dict[str, int]
    probability: np.ndarray
    cutoffs: Cutoffs | None = None
    share: float = 1.0
    factor: np.ndarray | None = None

    @property
    def reason(self) -> str:
        """Why a pair that was not kept is dropped."""
        return OVER_CAP if self.mode == "cap" else NOT_DRAWN

    def decide(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray | None]:
        """Whether each pair is kept, and its keep probability (None under cap); reads ``COLUMNS``.

        No entry keeps a text that matches none. Where nothing is balanced it stays all the same, with probability 1.
        """
        if self.cutoffs is not None:
            ids, high, low, offsets = matches(batch, self.starts if self.mode == "cap" else None)
            kept = kept_rows(self.cutoffs.keeps(ids, high, low), offsets)
            return kept, None if self.mode == "cap" else np.full(len(kept), self.share)
        ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), self.starts)
        share = keep_probability(self.probability, ids, offsets)
        if self.mode == "sample":
            share = share if self.factor is None else share * smallest(self.factor, ids, offsets)
            return batch.column("draw").to_numpy() < share, share
        share[np.diff(offsets) == 0] = 1.0
        return np.ones(len(share), bool), share


def matches(
    batch: pa.RecordBatch, starts: dict[str, int] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The flat entry ids of a batch with the key of their pair for each, and the rows' offsets.

    Without ``starts`` there is one entry, which every pair matches.
    """
    high, low = keys(batch.column("draw").to_numpy(), batch.column("pair_id").to_numpy())
    if starts is None:
        return np.zeros(len(high), np.int64), high, low, np.arange(len(high) + 1)
    ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), starts)
    count = np.diff(offsets)
    return ids, np.repeat(high, count), np.repeat(low, count), offsets
