"""The table ``matched`` by tasks, against a plain loop over pairs and entries."""

import struct
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from pipeline import tables
from pipeline.balance.counts import ListCounts
from pipeline.match.engine import build_file
from pipeline.match.spacing import entry_form, space_text
from pipeline.match.spark import write_matched
from tests.buckets.written import write_table
from tests.pool import RARE, WORDS, rows

LISTS = {"en": ["the cat", *WORDS["en"], *RARE["en"].split()], "de": WORDS["de"], "other": WORDS["zh"]}
SEED = -3


def drawn(pair_id: int) -> float:
    inner = xxhash.xxh64(struct.pack("<q", SEED), seed=42).intdigest()
    return (xxhash.xxh64(struct.pack("<q", pair_id), seed=inner).intdigest() >> 11) * 2.0**-53


def pairs() -> pa.Table:
    pool = rows()[:600]
    ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, len(pool))
    languages = [None if i % 50 == 0 else language for i, (_, _, language) in enumerate(pool)]
    return pa.table({"pair_id": ids, "url": [row[0] for row in pool], "text": [row[1] for row in pool],
                     "language": pa.array(languages, pa.string()), "copies": np.arange(len(pool))})  # fmt: skip


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("names", [("de", "en"), ("de", "en", "other"), ("de",)], ids=" ".join)
def test_against_a_loop(tasks, tmp_path, engine, names):
    one_list, pool = len(names) == 1, pairs()
    files = {}
    for name in names:
        file = tmp_path / f"{name}-{len(names)}.{engine}"
        build_file(pa.array(LISTS[name]), "metaclip2", engine, file)
        tasks.sparkContext.addFile(file.as_uri())
        files[name] = file.name
    sizes = {name: len(LISTS[name]) for name in names}
    source = write_table(tmp_path / "pairs", pool, 4)
    (tmp_path / "matched").mkdir()
    schema = tables.with_columns(source.schema(), **tables.MATCH)
    found = write_matched(tasks, source, str(tmp_path / "matched"), schema, sizes, files, engine, SEED, one_list)

    want, lines, counts, of_list = [], Counter(), Counter(), Counter()
    for row in pool.sort_by("pair_id").to_pylist():
        other = "other" if "other" in names else None
        name = names[0] if one_list else row["language"] if row["language"] in names else other
        if name is None:
            lines["no_entry_list", row["language"]] += 1
            continue
        text = space_text(row["text"])
        ids = [i for i, entry in enumerate(LISTS[name]) if entry_form(entry, "metaclip2") in text]
        lines["kept" if ids else "no_match", None] += 1
        if ids:
            want.append(row | {"entry_list": name, "entries": ids, "draw": drawn(row["pair_id"])})
            counts.update((name, i) for i in ids)
            of_list[name] += 1
    written = sorted((tmp_path / "matched").iterdir())
    assert [file.name for file in written] == [f"part-{i:05d}.parquet" for i in range(4)]
    assert [line for file in written for line in pq.read_table(file).to_pylist()] == want
    assert {line: rows for line, rows in found.lines.items() if line[0] != "pairs" and rows} == dict(lines)
    counted = ListCounts.of_totals(sizes, found)
    assert counted.counts.tolist() == [counts[name, i] for name in sorted(names) for i in range(sizes[name])]
    assert counted.pairs == {name: of_list[name] for name in names}
