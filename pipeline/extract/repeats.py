"""The repeats of pairs in one crawl file: the same image with the same text, as pages of a site have them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.buckets.hashing import pair_ids
from pipeline.compiled import flat
from pipeline.extract.found import Found
from pipeline.extract.links import KEPT

REPEATED = "repeated"
# How full the table may be, and its places at the start.
FILL, SMALLEST = 0.7, 1 << 12


class Repeats:
    """The pairs of one file so far, by a hash of 64 bits of (URL, text), in an open-addressing table.

    Of two pairs of one hash (one in 2^64 / pairs) the later is dropped as if it were the same. A place of the table
    that is 0 is free; a hash of 0 counts as 1.
    """

    def __init__(self) -> None:
        self.table = np.zeros(SMALLEST, np.uint64)
        self.count = 0

    def fresh(self, rows: pa.RecordBatch, found: Found) -> pa.RecordBatch:
        """The rows (``KEPT``) that were not there before; counts these as pairs, and the others as dropped."""
        ids = np.maximum(pair_ids(rows.column("url"), rows.column("text")).view(np.uint64), 1)
        self._make_room(len(ids))
        new = np.empty(len(ids), bool)
        added = add_new(self.table, ids, new)
        self.count += added
        fresh = rows if added == len(ids) else rows.filter(pa.array(new))
        found.pairs += added
        found.relative += pc.sum(fresh.column("relative")).as_py() or 0
        if added < len(ids):
            found.dropped[REPEATED] += len(ids) - added
        return fresh.select(KEPT.names)

    def _make_room(self, more: int) -> None:
        """Grows the table where that many hashes more would fill it."""
        size = len(self.table)
        while self.count + more > FILL * size:
            size *= 2
        if size > len(self.table):
            ids = self.table[self.table != 0]
            self.table = np.zeros(size, np.uint64)
            add_new(self.table, ids, np.empty(len(ids), bool))


@flat
def add_new(table, ids, new):
    """Adds hashes to a table (of a power of two places), says which were not there, and returns their number."""
    mask, added = len(table) - 1, 0
    for row in range(len(ids)):
        place = np.int64(ids[row]) & mask
        while table[place] != 0 and table[place] != ids[row]:
            place = (place + 1) & mask
        new[row] = table[place] == 0
        if new[row]:
            table[place] = ids[row]
            added += 1
    return added
