"""The rows of CSV and TSV, as Arrow columns of bytes that are not yet checked for UTF-8."""

from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

MALFORMED = "malformed_row"
# How far over the longest text a quoted cell may go on over lines.
CELL_MARGIN = 1 << 20


def delimited_batches(
    blocks: Iterator[bytes], columns: tuple[str, ...], tsv: bool, multiline: bool, max_text_bytes: int, bad: Counter
) -> Iterator[pa.RecordBatch]:
    """Batches of bytes columns of a CSV or TSV source; rows with another number of columns are counted in ``bad``.

    TSV has no quoting; CSV has, with line ends inside quotes where ``multiline``. The rows of quotes that are never
    closed are counted too (``pipeline.ingest.quotes``).
    """

    if not tsv:
        # Here, so that only tasks that read CSV wait for Numba.
        from pipeline.ingest.quotes import whole_records

        blocks = whole_records(blocks, multiline, max_text_bytes + CELL_MARGIN, bad)
    # Numbered names, as a file's own may be there twice.
    names = [str(i) for i in range(len(columns))]
    convert = pacsv.ConvertOptions(check_utf8=False, column_types=dict.fromkeys(names, pa.binary()))
    for block in blocks:
        if block.strip():  # One parser block holds all of it, so a long line is no error.
            rows, wrong = _parsed(block, tsv, names, convert)
            if wrong:
                bad[MALFORMED] += wrong
            for batch in rows.to_batches():
                yield pa.RecordBatch.from_arrays(batch.columns, names=list(columns))


def _parsed(block: bytes, tsv: bool, names: list[str], convert: pacsv.ConvertOptions) -> tuple[pa.Table, int]:
    """The rows of a block, and how many are malformed.

    pyarrow hands a malformed row on as text, and fails where it is not UTF-8. Then each byte becomes a character, which
    changes nothing of where a cell ends, and the cells are made bytes again.
    """
    wrong = 0

    def skip(row: pacsv.InvalidRow) -> str:
        nonlocal wrong
        wrong += 1
        return "skip"

    def read(block: bytes, handler: Callable | None) -> pa.Table:
        parse = pacsv.ParseOptions(
            delimiter="\t" if tsv else ",",
            quote_char=False if tsv else '"',
            newlines_in_values=not tsv,
            invalid_row_handler=handler,
        )
        options = pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1)
        return pacsv.read_csv(pa.BufferReader(block), options, parse, convert)

    try:
        return read(block, None), 0
    except pa.ArrowInvalid:
        pass
    try:
        block.decode()
    except UnicodeDecodeError:
        cells = (column.to_pylist() for column in read(block.decode("latin-1").encode(), skip).columns)
        as_bytes = [pa.array([cell.decode().encode("latin-1") for cell in of], pa.binary()) for of in cells]
        return pa.table(as_bytes, names), wrong
    return read(block, skip), wrong
