"""Where the records of a CSV file end, and which quotes are never closed: by the rules of pyarrow's reader.

A quote is one only at the start of a cell; in a quoted cell two are one, and one alone ends the quoting. pyarrow takes
whatever follows a quote that is not closed into one cell. Here a quoted cell that goes over lines has to end before a
comma or a line end, within ``most_lines`` lines and ``most_bytes`` bytes; else its quote counts as not closed, and
reading goes on at the line after the quote's own.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from pipeline.compiled import compiled

UNCLOSED = "unclosed_quote"
MOST_LINES = 1000
QUOTE, COMMA, LINE_FEED, RETURN = 34, 44, 10, 13
MARKS = np.zeros(256, np.bool_)
MARKS[[QUOTE, COMMA, LINE_FEED, RETURN]] = True
# Where in a record the scan is: at the start of a cell, in a plain cell (or after a closed quote), in a quoted one.
START, PLAIN, QUOTED = 0, 1, 2


def whole_records(
    blocks: Iterator[bytes], multiline: bool, most_bytes: int, bad: Counter, most_lines: int = MOST_LINES
) -> Iterator[bytes]:
    """The blocks (of whole lines) regrouped into whole records, without those of an unclosed quote.

    A record that is left out is counted in ``bad``; it ends with the line in which the quote was opened. Where not
    ``multiline`` no quoted cell goes over a line's end.
    """
    rest, block = b"", next(blocks, None)
    while block is not None:
        data, following = rest + block, next(blocks, None)
        if b'"' not in data:
            yield data
            rest, block = b"", following
            continue
        array = np.frombuffer(data, np.uint8)
        kept, start = [], 0
        while True:
            end, next_line = scan(array, start, following is None, most_lines if multiline else 0, most_bytes)
            kept.append(data[start:end])
            if next_line < 0:
                break
            bad[UNCLOSED] += 1
            start = next_line
        yield kept[0] if len(kept) == 1 else b"".join(kept)
        rest, block = data[end:], following


@compiled
def scan(data, start, last, most_lines, most_bytes):
    """The end of the whole records from ``start`` on, and the line after that of an unclosed quote, or -1.

    The record after that end is the one with the unclosed quote, or is not whole yet. ``last``: no data follow.
    """
    record, quote, lines, state = start, start, 0, START
    at, size = start, len(data)
    while at < size:
        byte = data[at]
        at += 1
        if not MARKS[byte]:
            if state == START:
                state = PLAIN
            while at < size and not MARKS[data[at]]:
                at += 1
        elif state == QUOTED:
            if byte == QUOTE:
                follows = data[at] if at < size else LINE_FEED
                if follows == QUOTE:
                    at += 1
                elif lines == 0 or follows in (COMMA, LINE_FEED, RETURN):
                    state = PLAIN
                else:
                    return record, line_after(data, quote)
            elif byte == LINE_FEED or (byte == RETURN and (at == size or data[at] != LINE_FEED)):
                if byte == LINE_FEED and most_lines == 0:
                    return record, line_after(data, quote)
                lines += 1
                if most_lines > 0 and (lines >= most_lines or at - quote > most_bytes):
                    return record, line_after(data, quote)
        elif byte in (LINE_FEED, RETURN):
            record, state = at, START
        elif byte == COMMA:
            state = START
        elif state == START:
            quote, lines, state = at - 1, 0, QUOTED
    if last and state == QUOTED:
        return record, line_after(data, quote)
    return (size if last else record), -1


@compiled
def line_after(data, at):
    """Where the line after that of a place begins."""
    size = len(data)
    while at < size:
        if data[at] == LINE_FEED:
            return at + 1
        if data[at] == RETURN:
            return at + 2 if at + 1 < size and data[at + 1] == LINE_FEED else at + 1
        at += 1
    return size
