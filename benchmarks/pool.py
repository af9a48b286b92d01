"""Pools of any size from real texts: each made of the first half of one and the second half of another."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FILE_ROWS = 1_000_000
DUPLICATES = 0.1


def write_pool(lines: list[str], rows: int, folder: Path, seed: int = 0, file_rows: int = FILE_ROWS) -> None:
    """Writes Parquet files of ``url``, ``text`` and the number ``row``; a tenth of the rows repeat another's text.

    Half of those repeat it exactly, half with one more character at the end. Every URL is distinct. A file has
    ``file_rows`` rows, in one row group.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    halves = [(line[: cut + 1], line[cut + 1 :]) for line in lines if (cut := line.find(" ", len(line) // 2)) > 0]
    first, second = pa.array([a for a, _ in halves]), pa.array([b for _, b in halves])
    for start in range(0, rows, file_rows):
        count = min(file_rows, rows - start)
        picked = [pa.array(rng.integers(0, len(halves), count)) for _ in range(2)]
        texts = pc.binary_join_element_wise(first.take(picked[0]), second.take(picked[1]), "")
        repeats = rng.random(count) < DUPLICATES
        source = np.where(repeats, rng.integers(0, count, count), np.arange(count))
        ends = pa.array(np.where(repeats & (rng.random(count) < 0.5), "s", ""))
        texts = pc.binary_join_element_wise(texts.take(pa.array(source)), ends, "")
        numbers = pa.array(np.arange(start, start + count)).cast(pa.string())
        urls = pc.binary_join_element_wise("https://pool.test/pictures/", numbers, ".jpg", "")
        table = pa.table({"url": urls, "text": texts, "row": np.arange(start, start + count)})
        pq.write_table(table, folder / f"part-{start // file_rows:05d}.parquet", compression="zstd")
