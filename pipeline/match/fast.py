"""The fast engine: both kernels over the Arrow buffers, their tables in one file that all workers of a machine share.

Entries between spaces go into the trie of tokens, the others into the trie of characters; a list may hold both. The
tables are flat arrays in an Arrow file, memory-mapped when loaded. Cost: about a microsecond a caption on one core,
and 40 bytes of tables an entry (``docs/performance.md``).
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.compiled import compiled, flat
from pipeline.match.characters import FIRST, insert_forms, match_characters
from pipeline.match.spacing import UNSPACED, entry_form
from pipeline.match.tokens import ENTRY_BYTES, FREE, NONE, TEXT_BYTES, insert_entries, match_tokens

# The arrays of a matcher, with the columns of those that have several.
TABLES = {"tokens": 4, "blob": 1, "nodes": 2, "edge_keys": 1, "edge_info": 1, "first": 1}


# How full the open-addressing tables may be: at a half nearly every probe is the first.
FILL = 0.6
FEW, HALF_FEW, LARGEST = 64, 32, np.int32(2**31 - 1)


class FastMatcher:
    """Matches texts against one entry list with compiled kernels."""

    def __init__(self, tables: dict[str, np.ndarray]):
        """``tables``: the arrays named in ``TABLES``."""
        # Mapped tables are read-only; all are, so that there is one compiled kernel.
        self.tables = {name: _read_only(tables[name]) for name in TABLES}

    @classmethod
    def build(cls, entries: pa.Array, form: str) -> "FastMatcher":
        """The matcher of a string array of distinct, non-empty entries; the index of an entry is its id."""
        unspaced = np.zeros(len(entries), bool)
        if form == "metaclip2":
            side = UNSPACED.pattern
            unspaced = pc.match_substring_regex(entries, f"^{side}|{side}$").to_numpy(zero_copy_only=False)
        ids = np.arange(len(entries), dtype=np.int32)
        forms = [entry_form(e, form) for e in entries.filter(pa.array(unspaced)).to_pylist()]
        return cls(
            _token_tables(entries.filter(pa.array(~unspaced)), ids[~unspaced]) | _form_tables(forms, ids[unspaced])
        )

    def save(self, file: Path) -> None:
        """Writes the tables to a file that ``load`` maps."""
        columns = {
            name: pa.LargeListArray.from_arrays(pa.array([0, table.size], pa.int64()), pa.array(table.ravel()))
            for name, table in self.tables.items()
        }
        batch = pa.record_batch(columns)
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)

    @classmethod
    def load(cls, file: Path) -> "FastMatcher":
        """Maps a file of ``save`` into memory; nothing is copied."""
        batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
        flat = {name: batch.column(name).values.to_numpy() for name in TABLES}
        return cls({n: flat[n].reshape(-1, columns) if columns > 1 else flat[n] for n, columns in TABLES.items()})

    def match(self, texts: pa.Array) -> pa.ListArray:
        """For each text the ids of the entries that match it, sorted and distinct (int32); null for null."""
        data, offsets = text_buffers(texts)
        valid = texts.is_valid().to_numpy(zero_copy_only=False)
        longest = int(np.diff(offsets).max(initial=0))
        length = 3 * longest + 8
        scratch = np.empty((3, length), np.int64), np.empty((2, length), np.uint64), np.empty(length, np.int32)
        ends = np.zeros(len(texts) + 1, np.int32)
        out = np.empty(max(1024, 24 * len(texts)), np.int32)
        tables = tuple(self.tables.values())
        row = match_rows(data, offsets, valid, 0, TEXT_BYTES, *tables, *scratch, out, ends)
        while row < len(texts):
            out = np.concatenate([out, np.empty_like(out)])
            row = match_rows(data, offsets, valid, row, TEXT_BYTES, *tables, *scratch, out, ends)
        found = pa.array(out[: ends[-1]])
        return pa.ListArray.from_arrays(pa.array(ends), found, mask=texts.is_null() if texts.null_count else None)


def text_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of a string or large_string array (any slice) and its offsets into them, as int64; not copied."""
    wide = pa.types.is_large_string(texts.type)
    _, offsets, data = texts.buffers()
    count = texts.offset + len(texts) + 1
    if offsets is None or offsets.size == 0:
        return _read_only(np.zeros(0, np.uint8)), np.zeros(len(texts) + 1, np.int64)
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32, count)[texts.offset :]
    return _read_only(np.frombuffer(data or b"", np.uint8)), ends.astype(np.int64)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


@compiled
def match_rows(
    data, offsets, valid, row, kinds, tokens, blob, nodes, edge_keys, edge_info, first,
    scratch, keys, characters, out, ends,
):  # fmt: skip
    """Matches the texts from ``row`` on; returns the row at which ``out`` was too short, else the number of rows."""
    few, ranks = np.empty(FEW, np.int32), np.empty(FEW, np.int32)
    by_tokens, by_characters = len(tokens) > 1, len(edge_keys) > 1
    while row < len(valid):
        begin = at = np.int64(ends[row])
        if valid[row]:
            start, end = offsets[row], offsets[row + 1]
            if by_tokens:
                at = match_tokens(data, start, end, kinds, tokens, blob, nodes, scratch, keys, out, at)
            if by_characters and at != NONE:
                at = match_characters(data, start, end, kinds, edge_keys, edge_info, first, characters, out, at)
            if at == NONE:
                return row
            at = sort_few(out, begin, at, few, ranks) if at - begin <= FEW else sort_many(out, begin, at)
        row += 1
        ends[row] = at
    return row


@flat
def sort_few(values, begin, end, few, ranks):
    """Sorts at most ``FEW`` values[begin:end], moves the distinct ones to the front, and returns their end.

    For each is counted how many are smaller, all at once and without a branch; equal ones get one rank, and the ranks
    that they leave out are skipped. ``few`` and ``ranks`` are scratch for ``FEW``.
    """
    count, kept = end - begin, begin
    few[:] = LARGEST
    ranks[:] = 0
    for i in range(count):
        few[i] = values[begin + i]
    for i in range(0, count, 4):
        a, b, c, d = few[i], few[i + 1], few[i + 2], few[i + 3]
        for j in range(HALF_FEW):
            v = few[j]
            ranks[j] += np.int32(a < v) + np.int32(b < v) + np.int32(c < v) + np.int32(d < v)
        if count > HALF_FEW:
            for j in range(HALF_FEW, FEW):
                v = few[j]
                ranks[j] += np.int32(a < v) + np.int32(b < v) + np.int32(c < v) + np.int32(d < v)
    values[begin:end] = -1
    for i in range(count):
        values[begin + ranks[i]] = few[i]
    for i in range(begin, end):
        values[kept] = values[i]
        kept += values[i] >= 0
    return kept


@compiled
def sort_many(values, begin, end):
    """As ``sort_few``, of any number."""
    kept = begin
    values[begin:end] = np.sort(values[begin:end])
    for i in range(begin, end):
        values[kept] = values[i]
        kept += i + 1 == end or values[i + 1] != values[i]
    return kept


def _slots(count: int, fill: float) -> int:
    """The slots of a table for so many: a power of two, filled to at most ``fill``; one for none."""
    return 1 << max(1, int(count / fill).bit_length()) if count else 1


def _token_tables(entries: pa.Array, ids: np.ndarray) -> dict[str, np.ndarray]:
    """The tables of the entries between spaces; sized by a first pass with tables that hold anything."""
    data, offsets = text_buffers(entries)
    most = int(np.count_nonzero(data == ord(" "))) + len(entries)
    count, used, deeper = most, len(data), most
    for _ in range(2):
        tables = {
            "tokens": np.full((_slots(count, FILL), 4), FREE, np.uint64),
            "blob": np.zeros(used, np.uint8),
            "nodes": np.full((_slots(deeper, FILL), 2), FREE, np.uint64),
        }
        count, used, deeper = insert_entries(data, offsets, ids, ENTRY_BYTES, *tables.values())
    return tables


def _form_tables(forms: list[str], ids: np.ndarray) -> dict[str, np.ndarray]:
    """The tables of the other entries' forms."""
    characters = np.frombuffer("".join(forms).encode("utf-32-le"), np.int32)
    offsets = np.cumsum([0, *map(len, forms)], dtype=np.int64)
    nodes = len(characters)
    for _ in range(2):
        tables = {
            "edge_keys": np.full(_slots(nodes, FILL), FREE, np.uint64),
            "edge_info": np.zeros(_slots(nodes, FILL), np.int32),
            "first": np.zeros(FIRST + 1 if forms else 1, np.int32),
        }
        nodes = insert_forms(characters, offsets, ids, *tables.values())
    return tables
