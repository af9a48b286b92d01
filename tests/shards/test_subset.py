"""DataComp subset files."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UsageError
from pipeline.shards.subset import uids, write_subset


def write(folder, values):
    (folder / "curated").mkdir()
    pq.write_table(pa.table({"source_uid": pa.array(values, pa.string())}), folder / "curated" / "part-00000.parquet")


def test_a_subset_is_what_datacomp_reads(tmp_path):
    rng = np.random.default_rng(0)
    values = [rng.bytes(16).hex() for _ in range(500)]
    write(tmp_path, values)
    assert write_subset(str(tmp_path), tmp_path / "subset.npy") == 500
    found = np.load(tmp_path / "subset.npy")
    want = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in values], np.dtype("u8,u8"))
    want.sort()
    assert found.dtype == want.dtype
    assert (found == want).all()


@pytest.mark.parametrize("wrong", [None, "abc", "g" * 32, "0" * 31])
def test_what_is_no_uid(wrong):
    with pytest.raises(UsageError, match="source_uid: found"):
        uids(pa.array(["0" * 32, wrong]))


def test_no_curated_table(tmp_path):
    with pytest.raises(UsageError, match="no curated there"):
        write_subset(str(tmp_path), tmp_path / "subset.npy")
