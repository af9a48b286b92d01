"""The row at a place of a sorted table, found from the footers of its files: a cut-off that takes no memory."""

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from pipeline import storage


def row_at(paths: Sequence[str], place: int) -> dict[str, Any] | None:
    """The row at a place, counted from 0 over the rows of Parquet files in their order; None where there are fewer."""
    for path in paths:
        filesystem, inner = storage.open_filesystem(path)
        with filesystem.open_input_file(inner) as opened:
            file = pq.ParquetFile(opened)
            if place >= file.metadata.num_rows:
                place -= file.metadata.num_rows
                continue
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if place < rows:
                    return file.read_row_group(group).slice(place, 1).to_pylist()[0]
                place -= rows
    return None
