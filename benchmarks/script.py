"""``python -m benchmarks.script POOL ENTRIES OUT --t T``: curation as anyone would write it in an hour.

The peer of ``benchmarks.whole``, with nothing of the pipeline in it: a pyahocorasick automaton that a process a core
shares by fork, Parquet row groups as work items, each process writing its own files. One pass matches and counts, one
draws. No de-duplication, no ids, no checks; a second run gives another draw.
"""

import argparse
import multiprocessing
import os
import re
from pathlib import Path

import ahocorasick
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PUNCTUATION = re.compile(r"[,.;:?!`]")
WHITE_SPACE = str.maketrans("\t\n\r", "   ")
automaton = ahocorasick.Automaton()
probability = np.zeros(0)


def match(item: tuple[Path, int, Path]) -> np.ndarray:
    """Writes the rows of a row group that have entries, with them, and returns how often each entry was found."""
    file, group, target = item
    table = pq.ParquetFile(file).read_row_group(group, ["url", "text"])
    ids, ends = [], [0]
    for text in table["text"].to_pylist():
        spaced = " " + PUNCTUATION.sub(r" \g<0> ", text.translate(WHITE_SPACE)) + " "
        ids.extend({entry for _, entry in automaton.iter(spaced)})
        ends.append(len(ids))
    ids, ends = np.array(ids, np.int32), np.array(ends, np.int32)
    table = table.append_column("entries", pa.ListArray.from_arrays(ends, ids))
    pq.write_table(table.filter(pa.array(np.diff(ends) > 0)), target)
    return np.bincount(ids, minlength=len(automaton))


def draw(item: tuple[Path, Path]) -> int:
    """Draws from a file of ``match``, writes the kept rows with their probability, and returns how many those are."""
    file, target = item
    table = pq.read_table(file)
    entries = table["entries"].combine_chunks()
    starts = np.cumsum(entries.value_lengths()) - entries.value_lengths()
    keep = 1 - np.multiply.reduceat(1 - probability[entries.flatten()], starts) if len(table) else np.zeros(0)
    kept = np.random.default_rng().random(len(table)) < keep
    pq.write_table(table.append_column("probability", pa.array(keep)).filter(pa.array(kept)), target)
    return int(kept.sum())


def main() -> None:
    """Curates a folder of Parquet files."""
    global probability
    parser = argparse.ArgumentParser()
    parser.add_argument("pool", type=Path)
    parser.add_argument("entries", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--t", type=float, default=20_000)
    given = parser.parse_args()
    for number, entry in enumerate(given.entries.read_text(encoding="utf-8").rstrip("\n").split("\n")):
        automaton.add_word(f" {entry} ", number)
    automaton.make_automaton()
    for name in ("matched", "curated"):
        (given.out / name).mkdir(parents=True)
    groups = [(f, g) for f in sorted(given.pool.glob("*.parquet")) for g in range(pq.read_metadata(f).num_row_groups)]
    items = [(file, group, given.out / f"matched/{i:05d}.parquet") for i, (file, group) in enumerate(groups)]
    context = multiprocessing.get_context("fork")
    with context.Pool(os.cpu_count()) as workers:
        counts = sum(workers.imap_unordered(match, items), np.zeros(len(automaton), np.int64))
    np.save(given.out / "counts.npy", counts)
    probability = np.minimum(1, given.t / np.maximum(counts, 1))
    with context.Pool(os.cpu_count()) as workers:
        kept = sum(workers.imap_unordered(draw, [(item[2], given.out / "curated" / item[2].name) for item in items]))
    print(f"{kept:,} kept")


if __name__ == "__main__":
    main()
