"""The entries of one pair, with their counts and probabilities, without reading all entries."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.explain.asked import Set

LISTS = "_lists"  # of `matched`, as in `pipeline.run`


def entries_of(found: Set, table: str, entry_list: str, ids: list[int]) -> list[dict[str, Any]]:
    """The rows of some entries of a list in ``entry_counts`` or ``final_entry_counts``."""
    sizes, place = list_sizes(found), 0
    for name, size in sizes.items():
        if name == entry_list:
            break
        place += size
    rows = _rows_at(found, table, [place + entry_id for entry_id in ids])
    return [
        {name: row[name] for name in ("entry", "count", "probability", "group_factor") if name in row}
        for row in rows
        if row["entry_list"] == entry_list
    ]


def list_sizes(found: Set) -> dict[str, int]:
    """The number of entries of each list, by name, as ``entry_counts`` has them one after the other."""
    folder = storage.join(found.output.folder, "matched", LISTS)
    names = sorted(name for name in storage.names(folder) if name.endswith(".parquet"))
    return {name.removesuffix(".parquet"): _footer(storage.join(folder, name)).num_rows for name in names}


def keep_probability(entries: list[dict[str, Any]]) -> float:
    """``1 - prod(1 - probability)``, multiplied from left to right as balancing does."""
    gone = 1.0
    for entry in entries:
        gone *= 1.0 - entry["probability"]
    return 1.0 - gone


def group_factor(entries: list[dict[str, Any]]) -> float:
    """The smallest factor of the entries: of groups whose share is capped."""
    return min((entry.get("group_factor", 1.0) for entry in entries), default=1.0)


def _rows_at(found: Set, table: str, places: list[int]) -> list[dict[str, Any]]:
    rows, start = [], 0
    for path in found.files(table).paths:
        filesystem, inner = storage.open_filesystem(path)
        with pq.ParquetFile(filesystem.open_input_file(inner)) as file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                here = [place - start for place in places if start <= place < end]
                if here:
                    rows += file.read_row_group(group).take(pa.array(np.array(here))).to_pylist()
                start = end
    return rows


def _footer(path: str) -> pq.FileMetaData:
    filesystem, inner = storage.open_filesystem(path)
    with filesystem.open_input_file(inner) as file:
        return pq.read_metadata(file)
