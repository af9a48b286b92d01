"""The pairs that balancing looks at, read from their files with what else is known of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.balance.counts import WEIGHT_UNIT
from pipeline.buckets.files import Files
from pipeline.buckets.keys import among


@dataclass(frozen=True)
class Pool:
    """Pairs in buckets, less the removed ones of ``clusters``.

    ``chosen``: the pair_ids of the one text of each image that may be drawn, or None for all. ``weighted``: each pair
    stands for 1/k1 of them, k1 being its ``keep_probability`` (Horvitz and Thompson's), times the number of its image's
    texts in ``image_texts`` where one of them was chosen first.
    """

    pairs: Files
    clusters: Files | None = None
    chosen: Files | None = None
    weighted: bool = False
    image_texts: Files | None = None

    def all_texts(self) -> "Pool":
        """The pool with no text chosen."""
        return replace(self, chosen=None)

    def read(self, bucket: int, buckets: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The pairs of a bucket, some columns of them, with ``chosen`` (bool) and ``weight`` where there are such."""
        removed = self._removed(bucket, buckets)
        chosen = None if self.chosen is None else _numbers(self.chosen, bucket, buckets, "pair_id")
        more = ["keep_probability"] if self.weighted else []
        for batch in self.pairs.read(bucket, buckets, list(dict.fromkeys(["pair_id", *columns, *more]))):
            ids = batch.column("pair_id").to_numpy()
            gone = among(ids, removed)
            if chosen is not None:
                batch = batch.append_column("chosen", pa.array(among(ids, chosen)))
            if self.weighted:
                batch = batch.append_column("weight", self._weights(batch, ids, bucket, buckets))
            if gone.any():
                batch = batch.filter(pa.array(~gone))
            if batch.num_rows:
                yield batch

    def candidates(self, bucket: int, buckets: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The pairs of a bucket that may be drawn."""
        for batch in self.read(bucket, buckets, columns):
            yield batch if self.chosen is None else batch.filter(batch.column("chosen"))

    def _removed(self, bucket: int, buckets: int) -> np.ndarray:
        if self.clusters is None:
            return np.zeros(0, np.int64)
        found = [np.zeros(0, np.int64)]
        for batch in self.clusters.read(bucket, buckets, ["pair_id", "kept"]):
            found.append(batch.column("pair_id").filter(pc.invert(batch.column("kept"))).to_numpy())
        return np.concatenate(found)

    def _weights(self, batch: pa.RecordBatch, ids: np.ndarray, bucket: int, buckets: int) -> pa.Array:
        """What each pair counts for, in whole parts of ``WEIGHT_UNIT``."""
        share = batch.column("keep_probability").to_numpy()
        if self.image_texts is not None:
            of, texts = (_numbers(self.image_texts, bucket, buckets, name) for name in ("pair_id", "texts"))
            share = share / texts[np.searchsorted(of, ids)]
        return pa.array(round_half_up(WEIGHT_UNIT / share))


def round_half_up(values: np.ndarray) -> np.ndarray:
    """Positive numbers as the nearest whole ones, halves up, as SQL rounds them."""
    return np.floor(values + 0.5).astype(np.int64)


def _numbers(files: Files, bucket: int, buckets: int, column: str) -> np.ndarray:
    """A column of numbers of a bucket."""
    names = list(dict.fromkeys(["pair_id", column]))
    parts = [batch.column(column).to_numpy() for batch in files.read(bucket, buckets, names)]
    return np.concatenate([np.zeros(0, np.int64), *parts])
