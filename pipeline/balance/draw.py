"""The draw: which pairs stay, by the recipe's mode: sample, cap or none."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.balance.cap import Cutoffs, kept_rows, keys
from pipeline.balance.counts import flat_ids
from pipeline.balance.thresholds import keep_probability

OTHER_TEXT, NOT_DRAWN, OVER_CAP = "other_text_of_image", "not_drawn", "over_cap"
COLUMNS = ["pair_id", "entry_list", "entries", "draw"]


@dataclass(frozen=True)
class Draw:
    """``starts`` of each list and the ``probability`` of its entries, flat; ``cutoffs`` of the hard cap."""

    mode: str
    starts: dict[str, int]
    probability: np.ndarray
    cutoffs: Cutoffs | None = None

    @property
    def reason(self) -> str:
        """Why a pair that was not kept is dropped."""
        return OVER_CAP if self.mode == "cap" else NOT_DRAWN

    def decide(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray | None]:
        """Whether each pair is kept, and its keep probability (None under cap); reads ``COLUMNS``."""
        if self.cutoffs is not None:
            ids, high, low, offsets = matches(batch, self.starts)
            return kept_rows(self.cutoffs.keeps(ids, high, low), offsets), None
        ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), self.starts)
        share = keep_probability(self.probability, ids, offsets)
        return batch.column("draw").to_numpy() < share if self.mode == "sample" else np.ones(len(share), bool), share


def matches(batch: pa.RecordBatch, starts: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The flat entry ids of a batch with the key of their pair for each, and the rows' offsets."""
    ids, offsets = flat_ids(batch.column("entry_list"), batch.column("entries"), starts)
    high, low = keys(batch.column("draw").to_numpy(), batch.column("pair_id").to_numpy())
    count = np.diff(offsets)
    return ids, np.repeat(high, count), np.repeat(low, count), offsets
