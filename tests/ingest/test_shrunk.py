"""Files that become shorter, or others, between the look at them and the reading: what is there counts, and it is said."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.ingest.plan import plan
from pipeline.ingest.read import read_split
from pipeline.recipe import Input

ROWS = 50


def write(file):
    rows = {"url": [f"http://x.test/{n}" for n in range(ROWS)], "text": [f"text {n}" for n in range(ROWS)]}
    if file.suffix == ".parquet":
        pq.write_table(pa.table(rows), file, row_group_size=10)
    elif file.suffix == ".jsonl":
        file.write_text("".join(f'{{"url": "{u}", "text": "{t}"}}\n' for u, t in zip(*rows.values(), strict=True)))
    else:
        lines = [list(rows), *zip(*rows.values(), strict=True)]
        file.write_text("".join(("\t" if file.suffix == ".tsv" else ",").join(line) + "\n" for line in lines))


@pytest.mark.parametrize("left", [0.6, 0.1, 0])
@pytest.mark.parametrize("ending", ["parquet", "csv", "tsv", "jsonl"])
def test_a_file_that_shrinks(tmp_path, ending, left):
    file = tmp_path / f"a.{ending}"
    write(file)
    options = Input(paths=[str(file)])
    found = plan(options, False)
    os.truncate(file, int(file.stat().st_size * left))
    read = [row for split in found.splits for batch in read_split(split, found, options) for row in batch.to_pylist()]
    kept = [row for row in read if row["dropped"] is None]
    counted = {row["dropped"]: row for row in read if row["dropped"] is not None}
    assert len(kept) < ROWS
    reason = counted["unreadable" if ending == "parquet" else "truncated"]
    assert reason["source_uid"] == str(file)  # so that the summary names it
    assert counted["rows_read"]["copies"] == len(kept) + sum(
        row["copies"] for name, row in counted.items() if name != "rows_read"
    )


def test_another_parquet_file_of_fewer_row_groups(tmp_path):
    write(tmp_path / "a.parquet")
    options = Input(paths=[str(tmp_path)])
    found = plan(options, False)
    pq.write_table(pa.table({"url": ["http://x.test/new"], "text": ["new"]}), tmp_path / "a.parquet")
    read = [row for split in found.splits for batch in read_split(split, found, options) for row in batch.to_pylist()]
    assert [(row["text"], row["dropped"]) for row in read] == [("new", None), (None, "unreadable"), (None, "rows_read")]
