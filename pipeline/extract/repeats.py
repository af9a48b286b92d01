"""The repeats of pairs in one crawl file: the same image with the same text, as pages of a site have them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.buckets.hashing import pair_ids
from pipeline.extract.found import Found
from pipeline.extract.links import KEPT

REPEATED = "repeated"


class Repeats:
    """The pairs of one file so far, by a hash of 64 bits of (URL, text): 8 bytes a pair, sorted in runs.

    Of two pairs of one hash (one in 2^64 / pairs) the later is dropped as if it were the same.
    """

    def __init__(self) -> None:
        self.runs: list[np.ndarray] = []

    def fresh(self, rows: pa.RecordBatch, found: Found) -> pa.RecordBatch:
        """The rows (``KEPT``) that were not there before; counts these as pairs, and the others as dropped."""
        ids = pair_ids(rows.column("url"), rows.column("text"))
        distinct, first = np.unique(ids, return_index=True)
        new = np.ones(len(distinct), bool)
        for run in self.runs:
            at = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            new &= run[at] != distinct
        self._add(distinct[new])
        fresh = rows.take(pa.array(np.sort(first[new])))
        found.pairs += fresh.num_rows
        found.relative += pc.sum(fresh.column("relative")).as_py() or 0
        if gone := rows.num_rows - fresh.num_rows:
            found.dropped[REPEATED] += gone
        return fresh.select(KEPT.names)

    def _add(self, ids: np.ndarray) -> None:
        """Adds sorted ids; runs of like size become one, so that there are few."""
        while self.runs and len(self.runs[-1]) <= 2 * len(ids):
            ids = np.sort(np.concatenate([self.runs.pop(), ids]))
        if len(ids):
            self.runs.append(ids)
