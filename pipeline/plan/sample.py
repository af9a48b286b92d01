"""Some rows of the input, drawn over all of it, and how many there are in all.

A small input is read whole, each row kept with the same probability. Of a larger one pieces are read at random places:
row groups of Parquet, ranges of bytes of text files, the beginnings of files that can only be read from there.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.buckets.hashing import pair_ids
from pipeline.ingest.plan import Plan
from pipeline.ingest.read import ROWS_READ, TRUNCATED, VALUES_LOST, opened, read_split
from pipeline.ingest.splits import Split
from pipeline.recipe import Input

# An input of so many rows and packed bytes is read whole; of a larger one so many rows, in so many pieces.
WHOLE_ROWS, WHOLE_BYTES, PIECES = 3_000_000, 1 << 30, 48
# A piece of a text file: of all of it, and of what has to be read from a file's beginning.
PIECE_BYTES, FIRST_BYTES = 4 << 20, 16 << 20


@dataclass
class Sample:
    """Kept rows with their ``pair_id`` and the ``piece`` that each is of, and what was counted.

    ``read``: rows that were looked at; ``dropped``: of those, by reason; ``total``: rows of the input; ``near``: the
    share of a piece's rows that is in the sample, ``rate`` that of all rows. ``repeats``: where all was read, how often
    each sampled pair is there.
    """

    rows: pa.Table
    read: int
    total: float
    near: float
    rate: float
    dropped: Counter = field(default_factory=Counter)
    repeats: np.ndarray | None = None

    @property
    def whole(self) -> bool:
        """Whether all of the input was read."""
        return self.repeats is not None


def draw_sample(plan: Plan, options: Input, wanted: int, seed: int) -> Sample:
    """About ``wanted`` rows of a planned input."""
    rng = np.random.default_rng(seed)
    size = sum(split.size for split in plan.splits)
    if plan.rows <= WHOLE_ROWS and size <= WHOLE_BYTES:
        return _of_all(plan, options, wanted, rng)
    with tempfile.TemporaryDirectory(prefix="metaclip-plan-") as folder:
        return _of_pieces(plan, options, wanted, rng, Path(folder), size)


def _of_all(plan: Plan, options: Input, wanted: int, rng: np.random.Generator) -> Sample:
    """A sample of an input that is read whole."""
    near = min(1.0, wanted / max(1, plan.rows))
    counted, rows, ids, read = Counter(), [], [], 0
    for split in plan.splits:
        for batch in read_split(split, plan, options):
            kept, more = _counted(batch, counted)
            read += more
            ids.append(kept.column("pair_id").to_numpy())
            rows.append(_thinned(kept, near, rng))
    table = _table(rows, np.zeros(sum(map(len, rows)), np.int32))
    known, copies = np.unique(np.concatenate(ids), return_counts=True)
    repeats = copies[np.searchsorted(known, table["pair_id"].to_numpy())]
    near = len(table) / max(1, copies.sum())
    return Sample(table, read, read, near, near, counted, repeats)


def _of_pieces(plan: Plan, options: Input, wanted: int, rng: np.random.Generator, folder: Path, size: int) -> Sample:
    """A sample of an input of which pieces are read."""
    most = WHOLE_ROWS // PIECES
    near = min(1.0, wanted / WHOLE_ROWS)
    counted, rows, places, read, good, held, held_bytes = Counter(), [], [], 0, 0, 0, 0
    for number, (piece, its_rows) in enumerate(_pieces(plan, options, rng, folder)):
        here = 0
        for kept, more in _batches(piece, plan, options, most, its_rows, counted, rng):
            here += more
            good += kept.num_rows
            thin = _thinned(kept, near, rng)
            rows.append(thin)
            places.append(np.full(len(thin), number, np.int32))
        read += here
        held += its_rows or here
        held_bytes += piece.size
    counted.pop(TRUNCATED, None)  # of pieces that were cut here
    by_footers = all(split.format == "parquet" for split in plan.splits)
    total = plan.rows if by_footers else held * size / max(1, held_bytes)
    total = max(total, read)
    table = _table(rows, np.concatenate(places))
    near = len(table) / max(1, good)
    return Sample(table, read, total, near, near * read / total, counted)


def _pieces(plan: Plan, options: Input, rng: np.random.Generator, folder: Path) -> Iterator[tuple[Split, int]]:
    """Pieces of random splits, each of them at most once, with their number of rows where that is known."""
    splits = [split for split in plan.splits if split.piece[0] == 0]
    sizes = np.array([max(1, split.size) for split in splits], np.float64)
    many = min(PIECES, len(sizes))
    chosen = rng.choice(len(sizes), many, replace=False, p=sizes / sizes.sum())
    again = -(-PIECES // many)  # Few and large splits give several pieces each.
    for at in chosen:
        split = opened(splits[at], options, plan)
        if split.damage:
            continue
        if split.format == "parquet":
            groups = range(split.start, split.end)
            for group in rng.choice(groups, min(again, len(groups)), replace=False) if groups else ():
                yield _group(split, int(group))
        elif storage.base_name(split.path).lower().endswith(".gz"):
            yield _first_of_packed(split, folder), 0
        elif split.encoding or (split.format == "csv" and options.multiline):
            end = min(split.end, split.data_start + FIRST_BYTES)
            yield replace(split, end=end, size=end - split.data_start), 0
        else:
            starts = np.arange(split.start, split.end, PIECE_BYTES)
            for start in rng.choice(starts, min(again, len(starts)), replace=False):
                end = min(split.end, int(start) + PIECE_BYTES)
                yield replace(split, start=int(start), end=end, size=end - int(start)), 0


def _group(split: Split, group: int) -> tuple[Split, int]:
    """A row group of a Parquet file, and its rows."""
    filesystem, inner = storage.open_filesystem(split.path)
    with filesystem.open_input_file(inner) as file:
        found = pq.read_metadata(file).row_group(group)
        size = sum(found.column(i).total_compressed_size for i in range(found.num_columns))
    return replace(split, start=group, end=group + 1, size=size, piece=(0, 1)), found.num_rows


def _first_of_packed(split: Split, folder: Path) -> Split:
    """The beginning of a packed file, as a file of its own."""
    filesystem, inner = storage.open_filesystem(split.path)
    with filesystem.open_input_file(inner) as file:
        content = file.read(FIRST_BYTES)
    copy = folder / f"{len(list(folder.iterdir()))}.gz"
    copy.write_bytes(content)
    return replace(split, path=str(copy), end=len(content), size=len(content))


def _batches(
    piece: Split, plan: Plan, options: Input, most: int, rows: int, counted: Counter, rng: np.random.Generator
) -> Iterator[tuple[pa.RecordBatch, int]]:
    """At most about ``most`` rows of a piece: kept ones, and how many were looked at for them.

    Of a large row group they begin at a random place in its first part, as what is before that has to be read as well.
    """
    skip = int(rng.integers(0, min(rows - most, 4 * most) + 1)) if rows > most else 0
    taken = 0
    for batch in read_split(piece, plan, options):
        before, skip = skip, max(0, skip - batch.num_rows)
        batch = batch.slice(before)
        kept, more = _counted(batch, counted)
        taken += more
        yield kept, more
        if rows and taken >= most:
            return


def _counted(batch: pa.RecordBatch, counted: Counter) -> tuple[pa.RecordBatch, int]:
    """The kept rows of a batch with their ids, and the number of all; dropped ones are counted by reason."""
    reasons = batch.column("dropped")
    read = 0
    if reasons.null_count < len(reasons):
        gone = batch.filter(pc.is_valid(reasons)).select(["dropped", "copies"]).to_pydict()
        for reason, copies in zip(gone["dropped"], gone["copies"], strict=True):
            if reason not in (ROWS_READ, VALUES_LOST):
                counted[reason] += copies
                read += copies
    kept = batch.filter(pc.is_null(reasons)) if reasons.null_count < len(reasons) else batch
    ids = pair_ids(kept.column("url"), kept.column("text"))
    return kept.append_column("pair_id", pa.array(ids)), read + kept.num_rows


def _thinned(rows: pa.RecordBatch, share: float, rng: np.random.Generator) -> pa.RecordBatch:
    return rows if share >= 1 else rows.filter(pa.array(rng.random(rows.num_rows) < share))


def _table(rows: list[pa.RecordBatch], pieces: np.ndarray) -> pa.Table:
    return pa.Table.from_batches(rows).append_column("piece", pa.array(pieces)).combine_chunks()
